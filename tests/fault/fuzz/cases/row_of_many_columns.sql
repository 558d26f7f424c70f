-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A row that fits because its values are put aside, as many as a page has pointers for.
DO $$ BEGIN EXECUTE 'CREATE TABLE t (id int PRIMARY KEY, ' || (SELECT string_agg('c' || n || ' text', ', ') FROM generate_series(1, 400) n) || ')'; END $$;
DO $$ BEGIN EXECUTE 'INSERT INTO t SELECT 1, ' || (SELECT string_agg('repeat(md5(' || n || '::text), 80)', ', ') FROM generate_series(1, 400) n); END $$;
