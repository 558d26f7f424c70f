-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- The subtype of a range is a domain that its rows break.
CREATE DOMAIN small AS int;
CREATE TYPE span AS RANGE (subtype = small);
CREATE TABLE t (id int PRIMARY KEY, s span);
INSERT INTO t VALUES (1, '[1,5]'), (2, '[2,7]');
ALTER DOMAIN small ADD CHECK (VALUE < 6) NOT VALID;
