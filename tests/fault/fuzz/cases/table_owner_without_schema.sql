-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- The owner of a table has no right to its schema; from 16 on a subscription writes as the owner: equal before, refused since.
CREATE SCHEMA closed;
CREATE ROLE app;
CREATE TABLE closed.t (id int PRIMARY KEY);
INSERT INTO closed.t VALUES (1);
ALTER TABLE closed.t OWNER TO app;
