# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the store is: its DSN, whether that place outlives the run, and whether it can hold a lock."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from .._core.argspec import unknown_keys
from .._core.errors import FleetError

# Files that container engines put into the root of a container, and a variable that Kubernetes sets in every pod.
_MARKERS = ("/.dockerenv", "/run/.containerenv")
_FLEETING = ("overlay", "tmpfs", "ramfs", "aufs")
# As the kernel calls them, behind "fuse." for those of a user process.
_NETWORK = (
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "ceph-fuse", "glusterfs", "lustre", "gpfs", "beegfs", "beegfs_nodev", "orangefs", "pvfs2", "ocfs2",
    "gfs2", "9p", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "vmhgfs-fuse", "sshfs", "s3fs", "rclone", "davfs", "davfs2", "juicefs", "mfs", "moosefs",
)  # fmt: skip


# What may stand behind the question mark of a DSN of PostgreSQL: words of libpq (PostgreSQL documentation, libpq-connect) without those that hold
# a secret, and without `options`, which would change what our statements mean.
_LIBPQ = (
    "host", "hostaddr", "port", "user", "dbname", "passfile", "service", "connect_timeout", "target_session_attrs", "load_balance_hosts",
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslcrldir", "sslsni", "sslnegotiation", "ssl_min_protocol_version", "channel_binding",
    "require_auth", "gssencmode", "krbsrvname", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
)  # fmt: skip
VARIABLE = "BOWLINE_STATE_DSN"


@dataclass(frozen=True)
class Place:
    """A SQLite file. ``ephemeral`` says that the user knows that it will vanish."""

    path: Path
    ephemeral: bool = False


@dataclass(frozen=True)
class Server:
    """A database of PostgreSQL. ``dsn`` may hold a password and is shown to nobody."""

    dsn: str = field(repr=False)


def place(dsn: t.Optional[str], environ: t.Mapping[str, str], inventories: t.Sequence[str] = ()) -> t.Union[Place, Server]:
    """Where the store is: what ``dsn`` names, else what BOWLINE_STATE_DSN names; else the file ``state.db`` in the folder ``.bowline`` beside one of
    ``inventories`` (folders, or files in them), if that folder is there; else the file ``bowline/store.db`` in the user's XDG state directory.

    Raises FleetError ``store_unavailable`` for a DSN that is neither ``sqlite:///absolute/path``, optionally with ``?ephemeral=true``, nor
    ``postgresql://…``, and where two inventories have such a folder.
    """
    given, named = (dsn, "The store's DSN") if dsn else (environ.get(VARIABLE), VARIABLE)
    if not given:
        return Place(_beside(inventories) or _of_user(environ))
    scheme = urlsplit(given).scheme if "://" in given else ""
    if scheme in ("postgresql", "postgres"):
        return _server(given, named)
    parts = urlsplit(given) if scheme == "sqlite" else None
    options = dict(parse_qsl(parts.query)) if parts else {}
    wrong = unknown_keys("store", options, ("ephemeral",))
    if parts is None or parts.netloc or not parts.path.strip("/") or wrong:
        # The text is not repeated: a DSN of another scheme may hold a password.
        raise _unusable(named, " ".join(wrong) or f"Its scheme is {scheme or 'missing'}.")
    return Place(Path(unquote(parts.path)), ephemeral=options.get("ephemeral") == "true")


def left_behind(store: t.Union[Place, Server], environ: t.Mapping[str, str], inventories: t.Sequence[str]) -> t.Optional[Path]:
    """The user's own store when one beside an inventory is used although nobody has named it; None when there is none."""
    old = _of_user(environ)
    return old if isinstance(store, Place) and not environ.get(VARIABLE) and store.path == _beside(inventories) and old.exists() else None


def _server(dsn: str, named: str) -> Server:
    """Only the words behind the question mark are read here; libpq reads the rest, which may hold a password in any form."""
    rest = dsn.partition("://")[2]
    # As conninfo_uri_parse_options in src/interfaces/libpq/fe-connect.c: what comes before the first @ names the user, unless a slash was earlier.
    server, _mark, query = re.sub(r"\A[^@/]*@", "", rest).partition("?")
    keys = [key for key, _value in parse_qsl(query, keep_blank_values=True)]
    port = re.match(r"(?:\[[^\]]*\]|[^:/]*):([^,/]*)", server)
    # What does not look right may be a part of a password, and is not repeated.
    if "@" in server or (port and not port[1].isdecimal()) or not all(re.fullmatch(r"[a-z_]+", key) for key in keys):
        raise _unusable(named, "In a user or password, / is written as %2F, @ as %40, : as %3A, ? as %3F and % as %25.")
    wrong = unknown_keys("store", keys, _LIBPQ)
    if wrong:
        raise _unusable(named, " ".join(wrong))
    return Server(dsn)


def _beside(inventories: t.Sequence[str]) -> t.Optional[Path]:
    folders = sorted({Path(name) if os.path.isdir(name) else Path(name).parent for name in inventories if os.path.exists(name)})
    found = [folder / ".bowline" for folder in folders if (folder / ".bowline").is_dir()]
    if len(found) > 1:
        raise FleetError(
            "store_unavailable",
            f"Two inventories have a store: {' and '.join(str(folder) for folder in found)}. Nothing was changed.",
            remedy=f"One store is one fleet: say which with operation_store or {VARIABLE}: sqlite://{found[0]}/state.db.",
        )
    return found[0] / "state.db" if found else None


def _of_user(environ: t.Mapping[str, str]) -> Path:
    state = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return Path(state) / "bowline" / "store.db"


def _unusable(named: str, seen: str) -> FleetError:
    return FleetError(
        "store_unavailable",
        f"{named} cannot be used. {seen}",
        remedy="Write sqlite:///absolute/path/store.db, or postgresql://user@host/database with the password in a file: ?passfile=/path.",
    )


def refuse_network(store: Place) -> None:
    """Raise FleetError ``store_unavailable`` when the file is on a network file system.

    Runs of two machines would each lock a file of their own there (https://www.sqlite.org/wal.html: all processes must be on the same host).
    """
    kind = _kind_at(store.path)
    if kind in _NETWORK or kind.startswith("fuse.") and kind.partition(".")[2] in _NETWORK:
        raise FleetError(
            "store_unavailable",
            f"{store.path} is on {kind}: runs of two machines would not see each other's locks there. Nothing was written.",
            remedy=f"While no run works on it, copy it to a local disk: cp -p {store.path}* /var/lib/bowline/, and name that one with operation_store:"
            f" sqlite:///var/lib/bowline/{store.path.name}. For several controllers: postgresql://.",
            details={"path": str(store.path), "filesystem": kind},
        )


def refuse_ephemeral(store: Place, environ: t.Mapping[str, str]) -> None:
    """Raise FleetError ``store_ephemeral`` when this is a container and the file stands on its throw-away file system."""
    inside = any(os.path.exists(marker) for marker in _MARKERS) or "KUBERNETES_SERVICE_HOST" in environ
    if not inside or store.ephemeral:
        return
    kind = _kind_at(store.path)
    if kind in _FLEETING:
        raise FleetError(
            "store_ephemeral",
            f"This is a container and {store.path} is on its {kind}: leases and journal would vanish with it. Nothing was written.",
            remedy=f"Mount a volume at {store.path.parent}, or name a file on one: operation_store: sqlite:///<volume>/store.db (option store of the modules)."
            " For a throw-away test, append ?ephemeral=true to the DSN.",
            details={"path": str(store.path), "filesystem": kind},
        )


def _kind_at(path: Path) -> str:
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return filesystem_of(os.path.realpath(path), mountinfo)


def filesystem_of(path: str, mountinfo: str) -> str:
    """Type of the file system that holds ``path``; empty when no mount does.

    Source: proc(5), /proc/<pid>/mountinfo: field 5 is the mount point, the type follows the lone dash.
    """
    best, kind = -1, ""
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        if not dash:
            continue
        point = left.split()[4].replace("\\040", " ").rstrip("/")
        if (path == point or path.startswith(point + "/")) and len(point) >= best:
            best, kind = len(point), right.split()[0]
    return kind
