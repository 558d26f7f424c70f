-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A check calls a function that finds a table by the search_path of the session.
CREATE TABLE allowed (code text PRIMARY KEY);
INSERT INTO allowed VALUES ('a'), ('b');
CREATE FUNCTION is_allowed(text) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN EXISTS (SELECT FROM allowed WHERE code = $1); END';
CREATE TABLE t (id int PRIMARY KEY, code text CHECK (is_allowed(code)));
INSERT INTO t VALUES (1, 'a'), (2, 'b');
