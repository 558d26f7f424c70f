-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Rows of a table that has no column.
CREATE TABLE t ();
INSERT INTO t SELECT FROM generate_series(1, 5);
CREATE TABLE u (a int);
INSERT INTO u VALUES (1), (2);
ALTER TABLE u DROP COLUMN a;
