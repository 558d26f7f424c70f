-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A check calls a function that reads a table that takes longer to copy than its own.
-- Right: equal with auto
CREATE TABLE allowed (code text PRIMARY KEY, filler text);
INSERT INTO allowed SELECT 'c' || n, repeat(md5(n::text), 20) FROM generate_series(1, 150000) n;
CREATE FUNCTION is_allowed(text) RETURNS boolean LANGUAGE plpgsql STABLE AS 'BEGIN RETURN EXISTS (SELECT FROM public.allowed WHERE code = $1); END';
CREATE TABLE a_small_one (id int PRIMARY KEY, code text CHECK (is_allowed(code)));
INSERT INTO a_small_one SELECT n, 'c' || n FROM generate_series(149990, 150000) n;
