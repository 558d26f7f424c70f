-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A reader of changes has its place in the log of legacy; it would stay there, and read replicated rows.
-- Right: equal
SELECT pg_create_logical_replication_slot('debezium', 'pgoutput');
