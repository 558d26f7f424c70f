-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A value of an enum that was deleted from the catalog is still in a row's neighbours, not in a row.
CREATE TYPE mood AS ENUM ('a', 'b', 'c');
CREATE TABLE t (id int PRIMARY KEY, m mood);
INSERT INTO t VALUES (1, 'a'), (2, 'c');
DELETE FROM pg_enum WHERE enumlabel = 'b' AND enumtypid = 'mood'::regtype;
