-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Nobody connects who was not told; the account of the link neither.
-- Right: equal
REVOKE CONNECT ON DATABASE hub FROM PUBLIC;
CREATE TABLE t (id int PRIMARY KEY);
