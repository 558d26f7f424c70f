-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- The hash of an enum is that of its OID, which is another one on new.
CREATE TYPE k AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
CREATE TABLE t (k k NOT NULL, id int, PRIMARY KEY (k, id)) PARTITION BY HASH (k);
CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO t SELECT (enum_range(NULL::k))[1 + n % 8], n FROM generate_series(1, 40) n;
