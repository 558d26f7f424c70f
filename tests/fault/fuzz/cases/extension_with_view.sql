-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A view of an extension has other columns in its version on new.
-- Right: equal
CREATE EXTENSION pg_stat_statements;
