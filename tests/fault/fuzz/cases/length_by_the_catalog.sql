-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A column that was made shorter in the catalog, to save the rewrite, and holds a longer value.
BEGIN;
CREATE TABLE t (id int PRIMARY KEY, a varchar(20));
INSERT INTO t SELECT n, repeat('x', n) FROM generate_series(1, 20) n;
COMMIT;
UPDATE pg_attribute SET atttypmod = 14 WHERE attrelid = 't'::regclass AND attname = 'a';
