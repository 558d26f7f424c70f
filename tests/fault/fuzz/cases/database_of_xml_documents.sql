-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A setting of the database decides how the follower reads values: a fragment is none.
ALTER DATABASE hub SET xmloption = document;
CREATE TABLE t (id int PRIMARY KEY, x xml);
INSERT INTO t VALUES (1, xmlparse(content 'text <a/>'));
