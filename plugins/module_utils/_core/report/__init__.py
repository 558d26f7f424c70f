# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run leaves behind for people: one HTML page, the log of a cutover, the incident of a rollback; and for programs, its result.

All of it is pure and takes one document of what was collected. Only ``operation`` is required; what is missing is said to be missing.

=========================== ====================================================================================================
``operation``, ``steps``    ``operation_journal.operation`` and ``.steps``, see module operation
``probe``                   result of traffic_probe_info, with ``series``: ``[{t, ok, failed, max_ms, by_side: {legacy: n, …}}]``
``pg``                      result of pg_cutover
``dns``                     ``{name, sides: {legacy: […], new: […]}, observations: [{at, server, values, ttl}], …}``
``edges``                   ``{legacy: {route, hold, …}, new: {…}}``
``hold``                    ``{from, until}`` of the pause; ``released_at`` is its end
``failure``                 ``{code, message, remedy}`` of the first cause
``decisions``               ``[{at, who, what, reason}]``
``serving``, ``phase``      what the servers said last; else taken from ``pg``
``outcome``                 overrides that of the operation, for a run that is not closed yet
``seconds_to_200``          of a rollback: from the command to the first good answer of legacy
``served_by_old_after_release``, ``warnings``, ``versions``, ``root_cause``, ``next``
=========================== ====================================================================================================

``pg``, ``probe``, ``dns`` and ``edges`` lie over what the roles pg_move, traffic_probe, dns and edge said in the evidence of the steps, so a
journal alone makes a page, also that of a run that was killed. Points in time are ISO 8601 text or unix seconds. The side ``target`` of the
application's header is the side ``new``.
"""
