-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A unique index whose table breaks it, as an older collation leaves it.
CREATE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE t (id int PRIMARY KEY, a text);
CREATE UNIQUE INDEX ON t (folded(a));
INSERT INTO t VALUES (1, 'x'), (2, 'X');
CREATE OR REPLACE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
