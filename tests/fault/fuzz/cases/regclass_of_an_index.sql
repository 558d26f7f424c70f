-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A value that names an index, which is made behind the rows.
CREATE TABLE t (id int PRIMARY KEY, r regclass, rs regclass[]);
CREATE INDEX later ON t (r);
INSERT INTO t VALUES (1, 't', '{t,later}'), (2, 'later', NULL);
