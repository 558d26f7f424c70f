-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A trigger that would change each row once more.
CREATE TABLE t (id int PRIMARY KEY, a text, changed int DEFAULT 0);
CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.changed := coalesce(OLD.changed, 0) + 1; RETURN NEW; END';
CREATE TRIGGER up BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION count_up();
INSERT INTO t (id, a) SELECT n, 'x' FROM generate_series(1, 5) n;
