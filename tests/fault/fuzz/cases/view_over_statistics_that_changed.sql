-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- A view over a view of the system that has other columns since PostgreSQL 17: equal before, refused since.
CREATE VIEW v AS SELECT checkpoints_timed, buffers_checkpoint FROM pg_stat_bgwriter;
CREATE TABLE t (id int PRIMARY KEY);
