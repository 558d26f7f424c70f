# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option that chooses the store: leases, operations and what rooms record beside them."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.store``."""

    DOCUMENTATION = r"""
options:
  store:
    description:
      - DSN of the store. One store is one fleet.
      - C(sqlite:///absolute/path) is one file on the controller, on a disk of its own; a network file system is refused.
      - C(postgresql://user@host/database) is the schema C(bowline) of a database, for several controllers. psycopg 3 is needed on each of them. Behind a
        question mark may stand what libpq takes, such as C(passfile), C(service), C(sslrootcert); without C(sslmode) the server's certificate is verified.
      - Without it, the DSN in E(BOWLINE_STATE_DSN) is used; without that, V(.bowline/state.db) beside the inventory if somebody has made the folder
        V(.bowline) there, and last the file V(bowline/store.db) in the user's XDG state directory (E(XDG_STATE_HOME), else V(~/.local/state)).
      - A file is its user's alone (0600). One of another user, or one that others may read, write or swap, is refused with C(unsafe_path).
    type: str
"""
