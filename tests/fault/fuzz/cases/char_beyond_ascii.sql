-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- The type "char" holds one byte, which need not be a letter.
CREATE TABLE t (id int PRIMARY KEY, c "char");
INSERT INTO t VALUES (1, 'a'), (2, 'ü'::text::"char"), (3, '');
