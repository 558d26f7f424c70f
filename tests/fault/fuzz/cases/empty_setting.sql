-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A list that is empty; pg_db_role_setting shows it as a pair of quotes.
-- Right: equal
ALTER ROLE hub SET search_path = '';
ALTER DATABASE hub SET temp_tablespaces = '';
CREATE TABLE t (id int PRIMARY KEY);
