-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A membership in the first account of the server, and of it.
-- Right: equal
CREATE ROLE boss LOGIN;
GRANT postgres TO boss;
CREATE TABLE t (id int PRIMARY KEY);
GRANT SELECT ON t TO boss;
