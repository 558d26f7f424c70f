-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- An account that wants to be read only is no account that may write.
-- Right: equal
CREATE ROLE bi LOGIN;
ALTER ROLE bi SET default_transaction_read_only = on;
CREATE TABLE t (id int PRIMARY KEY);
GRANT SELECT ON t TO bi;
