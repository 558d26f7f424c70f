-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A composite of a table that has got a column since, and lost one.
CREATE TABLE part (a int, b text);
CREATE TABLE t (id int PRIMARY KEY, p part, ps part[]);
INSERT INTO t VALUES (1, ROW(1, 'x'), ARRAY[ROW(2, 'y')::part]);
ALTER TABLE part ADD COLUMN c numeric;
ALTER TABLE part DROP COLUMN a;
INSERT INTO t VALUES (2, ROW('z', 1.5), '{}');
