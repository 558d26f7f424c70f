-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What was added to an extension by hand is in no dump.
CREATE EXTENSION citext;
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER EXTENSION citext ADD FUNCTION f();
