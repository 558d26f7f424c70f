-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A dump does not write down which operator IS DISTINCT FROM uses; with an empty search_path there is none.
CREATE EXTENSION ltree;
CREATE TABLE t (id int PRIMARY KEY, path ltree);
INSERT INTO t VALUES (1, 'a.b');
CREATE TRIGGER moved BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION suppress_redundant_updates_trigger();
