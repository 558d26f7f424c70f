-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A table with rows that was added to an extension by hand is in no dump, but replicated.
CREATE EXTENSION citext;
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
ALTER EXTENSION citext ADD TABLE t;
