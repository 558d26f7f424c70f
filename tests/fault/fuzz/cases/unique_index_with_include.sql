-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A unique index is a key by its key columns; what it includes may be NULL and have no equality.
-- Right: equal
CREATE TABLE t (a int NOT NULL, b json, UNIQUE (a) INCLUDE (b));
INSERT INTO t SELECT n, '7' FROM generate_series(1, 9) n;
