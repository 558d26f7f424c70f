#!/bin/sh
# SPDX-FileCopyrightText: 2026 The bowline contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# What the official image does at its start, as its documentation says: https://hub.docker.com/_/postgres. POSTGRES_USER is the first account of the
# cluster, so there is none called postgres; everything else is as initdb makes it.
set -eu
if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    # As gosu, which knows the user's home.
    export HOME=/var/lib/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" >/dev/null
    printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
    pg_ctl --pgdata="$PGDATA" -o "-c listen_addresses=''" -w start >/dev/null
    psql -q -X -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -c "create database \"${POSTGRES_DB:-$POSTGRES_USER}\""
    pg_ctl --pgdata="$PGDATA" -m fast -w stop >/dev/null
fi
exec "$@"
