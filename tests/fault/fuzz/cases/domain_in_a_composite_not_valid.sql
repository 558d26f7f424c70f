-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Rows that break a later constraint of a domain inside a composite, an array of composites, a composite in a domain.
CREATE DOMAIN small AS int;
CREATE TYPE part AS (n small, note text);
CREATE TYPE whole AS (p part, ps part[]);
CREATE DOMAIN parts AS part[];
CREATE TABLE t (id int PRIMARY KEY, w whole, ps parts);
INSERT INTO t SELECT n, ROW(ROW(n, 'x'), ARRAY[ROW(n, 'y')::part])::whole, ARRAY[ROW(n, 'z')::part] FROM generate_series(1, 9) n;
ALTER DOMAIN small ADD CHECK (VALUE <> 5) NOT VALID;
