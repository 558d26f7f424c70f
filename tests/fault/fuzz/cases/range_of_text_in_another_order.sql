-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A range of text that is empty or the wrong way round in the order that the library has now.
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE TYPE words AS RANGE (subtype = text, collation = german);
CREATE TABLE t (id int PRIMARY KEY, w words);
INSERT INTO t VALUES (1, '[a,A]'), (2, '[a,b)');
UPDATE pg_collation SET colliculocale = 'de-u-kf-upper', collversion = '1.0' WHERE collname = 'german';
