-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A database that others are made from: it stays one on the other side, and there it is fenced like any other.
-- Right: equal
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
ALTER DATABASE hub IS_TEMPLATE true;
