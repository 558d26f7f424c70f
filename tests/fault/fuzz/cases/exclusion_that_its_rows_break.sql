-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- An exclusion constraint whose function was replaced: it stands, and its rows break it.
CREATE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE t (id int PRIMARY KEY, a text, EXCLUDE USING btree (folded(a) WITH =));
INSERT INTO t VALUES (1, 'x'), (2, 'X');
CREATE OR REPLACE FUNCTION folded(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
