-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A text of JSON that is deep, within the limit of the server.
CREATE TABLE t (id int PRIMARY KEY, j json, b jsonb);
INSERT INTO t VALUES (1, (repeat('[', 3000) || repeat(']', 3000))::json, (repeat('[', 3000) || repeat(']', 3000))::jsonb);
