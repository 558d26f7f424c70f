-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A foreign key that says it is valid, above a row without a parent.
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent VALUES (1);
CREATE TABLE child (id int PRIMARY KEY, up int REFERENCES parent);
SET session_replication_role = replica;
INSERT INTO child VALUES (1, 1), (2, 4711);
RESET session_replication_role;
