-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A dump does not say that the schema public was dropped; a new database has one, where everybody may look (before 15: make tables).
-- Right: equal
DROP SCHEMA public CASCADE;
CREATE SCHEMA app;
CREATE TABLE app.t (id int PRIMARY KEY);
INSERT INTO app.t VALUES (1);
