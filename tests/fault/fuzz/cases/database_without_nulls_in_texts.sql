-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- As above, and nothing refuses: a NULL arrives as a word.
ALTER DATABASE hub SET array_nulls = off;
CREATE TABLE t (id int PRIMARY KEY, b text[]);
INSERT INTO t VALUES (1, ARRAY['x', NULL]);
