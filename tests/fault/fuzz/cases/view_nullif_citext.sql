-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- NULLIF over citext is restored with a cast to text, which folds no letters.
CREATE EXTENSION citext;
CREATE TABLE t (id int PRIMARY KEY, c citext);
INSERT INTO t VALUES (1, 'x'), (2, 'X'), (3, 'y');
CREATE VIEW v AS SELECT id, NULLIF(c, 'x') AS c FROM t;
