-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A lexeme that a function made longer than the type's own input takes.
CREATE TABLE t (id int PRIMARY KEY, v tsvector);
INSERT INTO t VALUES (1, array_to_tsvector(ARRAY[repeat('x', 2040)]));
INSERT INTO t SELECT 2, array_to_tsvector(array_agg('word' || n || repeat('y', 90))) FROM generate_series(1, 9000) n;
