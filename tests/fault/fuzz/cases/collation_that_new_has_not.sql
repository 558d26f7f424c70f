-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A collation of ICU, where new was built without it.
CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk');
CREATE TABLE t (id int PRIMARY KEY, a text COLLATE german);
INSERT INTO t VALUES (1, 'Ärger');
