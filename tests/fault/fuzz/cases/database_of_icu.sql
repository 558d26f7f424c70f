-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A database whose order is that of ICU, where new may have been built without it.
-- CREATE DATABASE ... TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C.UTF-8'
CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE);
INSERT INTO t VALUES (1, 'a'), (2, 'B'), (3, 'ä');
