-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A library that sorts otherwise than when rows were put into their partitions; its version tells.
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE TABLE t (k text COLLATE german, id int, PRIMARY KEY (k, id)) PARTITION BY RANGE (k);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('a') TO ('m');
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('m') TO ('z');
INSERT INTO t SELECT chr(97 + n % 24), n FROM generate_series(1, 100) n;
INSERT INTO t VALUES ('A', 0);
UPDATE pg_collation SET colliculocale = 'de-u-kf-upper', collversion = '1.0' WHERE collname = 'german';
