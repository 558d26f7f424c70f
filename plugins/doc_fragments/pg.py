# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that name the two servers; specs: ``_pg.argspec.SERVERS``."""

from __future__ import annotations


class ModuleDocFragment:
    """Use as ``bowline.fleet.pg``."""

    DOCUMENTATION = r"""
requirements:
  - psycopg >= 3.1 (Debian package python3-psycopg)
  - PostgreSQL 12 to 18 on both sides, new with C(wal_level=logical) and not older than legacy; or two of one major for engine physical
options:
  legacy:
    description: The server that the database moves away from, as the host of this task reaches it.
    type: dict
    required: true
    suboptions: &server
      host: {description: 'Host name, address or directory of the socket.', type: str, required: true}
      port: {description: Port., type: int, default: 5432}
      dbname: {description: 'Database that is moved. On new it is made if it does not exist.', type: str, required: true}
      user: {description: Superuser of the control connection. It also uses the database C(postgres)., type: str, default: postgres}
      password: {description: 'Its password. It never appears in results, logs, arguments or statements.', type: str}
      passfile: {description: 'Password file of libpq on the host of this task, mode 0600, instead of a password.', type: path}
      sslmode:
        description:
          - How TLS is used and verified. Unless it is set C(verify-full), where O(legacy.host) is no directory of a socket.
          - A weaker word is used as it is said, with a finding that tells what somebody in the path gets. The password is then never sent in clear
            (C(require_auth=!password) of libpq 16 and newer).
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      sslrootcert:
        description: CA certificates on the host of this task, to verify the server with. Without it libpq looks for C(~/.postgresql/root.crt).
        type: path
      container:
        description: Docker container of the server. It names the server in findings, and starts and stops it where that is needed.
        type: str
      service:
        description: systemd unit that is exactly this server (C(postgresql@15-main), not C(postgresql)); starts and stops it.
        type: str
      data_directory:
        description:
          - Data directory of the server, where it lives; in a container C(/var/lib/postgresql/data) unless it is set.
          - Without container and service the server is started and stopped by C(pg_ctl) as the owner of this directory.
        type: path
      command_prefix:
        description:
          - Words before every command that has to run on the host of this server, for instance C([ssh, hub-new]); empty for this host.
          - The words of a command are quoted for a shell only behind C(ssh).
        type: list
        elements: str
      bindir:
        description:
          - Directory of C(pg_dump) and C(pg_restore) on the host of this task, at least as new as the legacy server and no newer than new.
          - Without it the version below C(/usr/lib/postgresql) that is the new server's or the next older one, else the search path.
        type: path
      server_bindir:
        description:
          - Directory of C(pg_ctl), C(pg_controldata) and the other programs of a server that is started and stopped, where the server lives.
          - Without it the folder below C(/usr/lib/postgresql) of its data directory's version; in a container the search path.
        type: path
  new:
    description: The server that the database moves to, as the host of this task reaches it.
    type: dict
    required: true
    suboptions: *server
"""
