-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A generated column over a function that says it is immutable and reads a setting.
CREATE FUNCTION day(timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT to_char($1, ''YYYY-MM-DD HH24'')';
CREATE TABLE t (id int PRIMARY KEY, at timestamptz, g text GENERATED ALWAYS AS (day(at)) STORED);
SET TimeZone = 'Asia/Kathmandu';
INSERT INTO t SELECT n, timestamptz '2026-01-01 00:00:00Z' + n * interval '1 hour' FROM generate_series(1, 5) n;
RESET TimeZone;
