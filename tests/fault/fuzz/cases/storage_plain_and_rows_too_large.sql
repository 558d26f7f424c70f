-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Values that were put aside before their column was told to keep them in the row.
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t SELECT n, repeat(md5(n::text), 1000) FROM generate_series(1, 5) n;
ALTER TABLE t ALTER a SET STORAGE PLAIN;
