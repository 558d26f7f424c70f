-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- More sequences than one transaction may lock.
DO $$ BEGIN FOR n IN 1..20000 LOOP EXECUTE 'CREATE SEQUENCE s' || n; IF n % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$;
