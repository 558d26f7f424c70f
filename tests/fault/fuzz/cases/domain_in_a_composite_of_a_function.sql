-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- The function of a domain inside a composite says something else now.
CREATE FUNCTION fine(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE DOMAIN small AS int CHECK (fine(VALUE));
CREATE TYPE part AS (n small, note text);
CREATE TABLE t (id int PRIMARY KEY, p part);
INSERT INTO t SELECT n, ROW(n, 'x')::part FROM generate_series(1, 9) n;
CREATE OR REPLACE FUNCTION fine(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 <> 5';
