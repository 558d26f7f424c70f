-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Exclusion constraints that are deferred, over ranges of a domain.
CREATE DOMAIN at AS timestamptz CHECK (VALUE > '2000-01-01Z');
CREATE TYPE span AS RANGE (subtype = at);
CREATE TABLE t (id int PRIMARY KEY, s span, EXCLUDE USING gist (s WITH &&) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO t SELECT n, span(('2026-01-01Z'::timestamptz + n * interval '1 day')::at, ('2026-01-02Z'::timestamptz + n * interval '1 day')::at) FROM generate_series(1, 9) n;
