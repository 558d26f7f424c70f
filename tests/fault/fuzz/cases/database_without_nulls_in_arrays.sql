-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A setting of the database decides how the follower reads values: NULL is a word here.
ALTER DATABASE hub SET array_nulls = off;
CREATE TABLE t (id int PRIMARY KEY, a int[], b text[]);
INSERT INTO t VALUES (1, ARRAY[1, NULL], ARRAY['x', NULL]);
