-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A value that fits into its index only as the column compresses it, and a setting of the server compresses it otherwise.
CREATE TABLE t (id int PRIMARY KEY, a text COMPRESSION lz4);
CREATE INDEX ON t (a);
INSERT INTO t SELECT n, repeat(md5(n::text), 30) || repeat('x', 60000) FROM generate_series(1, 3) n;
