-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A comment on an index, as on any other object.
-- Right: equal
CREATE TABLE t (id int PRIMARY KEY, a int);
CREATE INDEX i ON t (a);
COMMENT ON INDEX i IS 'why it is here';
