-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Which rows an account sees depends on an operator that a dump does not write down.
CREATE EXTENSION citext;
CREATE ROLE reader;
CREATE TABLE t (id int PRIMARY KEY, c citext);
INSERT INTO t VALUES (1, 'x'), (2, 'X'), (3, 'y');
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON t USING (c IS DISTINCT FROM 'X');
GRANT SELECT ON t TO reader;
