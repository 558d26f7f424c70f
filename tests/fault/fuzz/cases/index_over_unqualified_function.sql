-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- An index whose function calls another one by the search_path.
CREATE FUNCTION inside(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION outside(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN inside($1); END';
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT n, 'a' || n FROM generate_series(1, 20) n;
CREATE INDEX ON t (outside(a));
