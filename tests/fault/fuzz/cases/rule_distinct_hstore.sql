-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A rule whose condition cannot be made again with an empty search_path.
CREATE EXTENSION hstore;
CREATE TABLE t (id int PRIMARY KEY, c hstore);
CREATE RULE r AS ON UPDATE TO t WHERE old.c IS DISTINCT FROM new.c DO ALSO SELECT 1;
