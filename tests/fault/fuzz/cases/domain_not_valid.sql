-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Rows that break a later constraint of their domain; an update that leaves the column alone is no error on legacy.
CREATE DOMAIN d AS int;
CREATE TABLE t (id int PRIMARY KEY, a d, note text);
INSERT INTO t SELECT n, n, 'x' FROM generate_series(1, 9) n;
ALTER DOMAIN d ADD CHECK (VALUE <> 5) NOT VALID;
