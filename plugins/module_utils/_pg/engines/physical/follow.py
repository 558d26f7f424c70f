# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After the promotion: the old side becomes the standby of the new one, so that the way back is the same switch (F1 to F4)."""

from __future__ import annotations

from ...._core.errors import FleetError
from ...._core.faults import hit
from ...model import MAINTENANCE, Link
from ...replication import pair
from ...server.process import CLEAN
from . import seed as physical_seed
from .facts import PhysicalDirection, Site, ask, newest_timeline

# Files of the server's own configuration survive pg_rewind, which would replace them by those of the other side. The copy has a fixed
# name and is put back by the next run if this one is killed: what it holds is always the original. Inside of the data directory pg_rewind
# would remove it. It lies beside it where only the server's user writes, else in /var/tmp, where everybody does: so it is made, or it is a
# directory of ours already (one lstat tells, and behind the sticky bit nobody else can exchange it), or nothing is done. A test left of &&
# does not end a shell with set -e, hence the words. The script of a killed run goes on by itself, hence the lock.
_REWIND = """
set -eu
umask 077
data=$(cd -- "$1" && pwd -P)
beside=${data%/*}
kept=/var/tmp/bowline-$(printf %s "$data" | cksum | cut -d' ' -f1)
case $(stat -c '%u %A' -- "$beside/") in
  "$(id -u) "?????w*|"$(id -u) "????????w*) ;;
  "$(id -u) "*) kept=$beside/.${data##*/}.bowline-rewind ;;
esac
if ! mkdir "$kept" 2>/dev/null && [ "$(stat -c '%u %F' -- "$kept" 2>&1)" != "$(id -u) directory" ]; then
  echo "$kept is not a directory of $(id -un): $(stat -c '%U, %F' -- "$kept" 2>&1). Look who made it and remove it" >&2
  exit 1
fi
exec 9> "$kept/.lock"
flock 9
if [ ! -e "$kept/.done" ]; then
  for f in "$1"/*.conf; do if [ -e "$f" ]; then cp -p -- "$f" "$kept"/; fi; done
  : > "$kept/.done"
fi
rc=0
"$2" --target-pgdata="$1" --source-server="$3" || rc=$?
for f in "$kept"/*.conf; do if [ -e "$f" ]; then cp -p -- "$f" "$1"/; fi; done
if [ "$rc" -eq 0 ]; then : > "$1/standby.signal"; fi
rm -rf "$kept"
exit "$rc"
"""


def cleanup(direction: PhysicalDirection, link: Link) -> bool:
    """Have the old side of ``road`` follow its target. Whether pg_rewind was needed."""
    old, serves = direction.source, direction.target
    physical_seed.keep_slot(serves.server, direction.back)
    rewound = _make_standby(old, serves, link)
    hit("F1")
    old.server.close()
    physical_seed.start_standby(old)
    hit("F2")
    physical_seed.wait_following(old, serves, 60)
    hit("F3")
    physical_seed.drop_slot(old.server, direction.ahead)
    hit("F4")
    return rewound


def rewindable(site: Site) -> str:
    """Why pg_rewind could not bring this server back to the other one's history; empty when it could."""
    row = site.server.admin.rows(
        "SELECT current_setting('wal_log_hints') = 'on' OR current_setting('data_checksums') = 'on' AS able"
    )[0]
    return "" if row["able"] else f"neither wal_log_hints nor data checksums are on at {site.side}"


def _make_standby(old: Site, serves: Site, link: Link) -> bool:
    if old.control.running():
        if ask(old)["recovery"]:
            return False
        # Somebody has started it after the switch; it is fenced, and its start alone has written log that the other side does not have.
        old.server.close()
        old.control.stop("fast", 60)
    if physical_seed.stopped_in_recovery(old):
        return False
    data = old.control.controldata()
    rewound = _diverged(data, serves)
    if rewound:
        _rewind(old, serves, link)
    physical_seed.put_signal(old)
    return rewound


def _diverged(data: dict[str, str], serves: Site) -> bool:
    """Whether the old side has log after the point at which the timeline of the other one began; a crash may have left some."""
    if data["Database cluster state"] != CLEAN:
        return True
    fork = serves.server.admin.value(
        "SELECT (regexp_split_to_array(trim(h.line), E'\\\\s+'))[2] FROM (SELECT pg_read_file('pg_wal/'"
        " || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.history') AS text) f,"
        " regexp_split_to_table(trim(E'\\n' FROM f.text), E'\\n') WITH ORDINALITY h(line, n) ORDER BY h.n DESC LIMIT 1"
    )
    return bool(serves.server.admin.value("SELECT %s::pg_lsn >= %s::pg_lsn", data["Latest checkpoint location"], fork))


def _rewind(old: Site, serves: Site, link: Link) -> None:
    source = pair.conninfo(link, serves.server, "pgcut_rewind", MAINTENANCE)
    # Before 16 pg_rewind takes the timeline of the source from its last checkpoint. Right after a promotion that is the old one, so it
    # would find both on one timeline, do nothing and say "no rewind required" (PostgreSQL 15 documentation, pg_rewind, warning).
    serves.server.admin.run("CHECKPOINT")
    wrong = _rewound(old, serves, source)
    if wrong:
        raise FleetError(
            "apply_error",
            f"{old.server.endpoint} was started after the switch, so it has to be rewound, which failed: {wrong} {serves.side} serves; nothing is lost.",
            remedy=f"If pg_rewind lacks wal_log_hints and data checksums, or fails again, {physical_seed.anew(old)}",
        )


def _rewound(old: Site, serves: Site, source: str) -> str:
    """Why it is not; empty when it is. The control file is believed, not the exit code: recovery has to reach the timeline of the other side."""
    control = old.control
    done = control.script(_REWIND, control.data_directory, control.path("pg_rewind"), source, timeout=3600)
    if done.rc != 0:
        return f"pg_rewind ended with {done.rc}: {(done.err or done.out).strip()[-300:]}."
    timeline = int(serves.server.admin.value("SELECT timeline_id FROM pg_control_checkpoint()"))
    reached = newest_timeline(control.controldata())
    return "" if reached == timeline else f"its timeline is {reached} after pg_rewind, and not {timeline}."
