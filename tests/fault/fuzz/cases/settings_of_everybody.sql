-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- ALTER ROLE ALL is a setting of the server, and changes how names are shown.
-- Right: equal
ALTER ROLE ALL SET quote_all_identifiers = on;
ALTER ROLE ALL SET work_mem = '5MB';
CREATE TABLE t (id int PRIMARY KEY);
