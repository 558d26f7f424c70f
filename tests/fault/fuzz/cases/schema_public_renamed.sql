-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A dump leaves out the rights that a schema has from initdb on, and gives them to no schema of another name.
-- Right: equal
ALTER SCHEMA public RENAME TO old_public;
CREATE TABLE old_public.t (id int PRIMARY KEY);
INSERT INTO old_public.t VALUES (1);
