-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A column that was marked NOT NULL in the catalog, to save the scan, and holds a NULL.
BEGIN;
CREATE TABLE t (id int PRIMARY KEY, a int);
INSERT INTO t SELECT n, nullif(n % 5, 0) FROM generate_series(1, 50) n;
COMMIT;
UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 't'::regclass AND attname = 'a';
