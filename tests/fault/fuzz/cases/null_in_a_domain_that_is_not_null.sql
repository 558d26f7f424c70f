-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- The way of the documentation (CREATE DOMAIN, Notes): a column of a domain that is NOT NULL holds a NULL.
CREATE DOMAIN given AS int NOT NULL;
CREATE DOMAIN checked AS text CHECK (VALUE IS NOT NULL);
CREATE TABLE t (id int PRIMARY KEY, a given, b checked);
INSERT INTO t VALUES (1, 1, 'x');
INSERT INTO t (id, a, b) VALUES (2, (SELECT a FROM t WHERE false), (SELECT b FROM t WHERE false));
