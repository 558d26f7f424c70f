-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- An account that owns nothing and is granted nothing logs in all the same.
-- Right: equal
CREATE ROLE web LOGIN PASSWORD 'canary-app-3c2' CONNECTION LIMIT 7;
CREATE TABLE t (id int PRIMARY KEY);
