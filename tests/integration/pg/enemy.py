# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role that may create in one database, and whose functions tell when somebody with more rights has run them."""

from __future__ import annotations

from pathlib import Path

NAME, PASSWORD = "low", "canary-low-71d"
# A file by COPY, because a superuser may write one in a transaction that is read only, too. In a function of its own, because one that is
# called immutable may not do it itself.
HARM = """
CREATE OR REPLACE FUNCTION low.harm() RETURNS void LANGUAGE plpgsql VOLATILE AS $harm$
BEGIN
  IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AND {when} THEN
    COPY (SELECT current_user) TO '{mark}';
  END IF;
END $harm$
"""
EVIL = """
CREATE FUNCTION low.evil({arguments}) RETURNS {result} LANGUAGE plpgsql {words} AS $evil$
BEGIN
  PERFORM low.harm();
  RETURN {value};
END $evil$
"""


class Enemy:
    """Role ``low`` in database ``dbname`` of ``cluster``: it owns schema low, and nothing else. ``won`` is whether a superuser ran its code."""

    def __init__(self, cluster, dbname: str = "hub") -> None:
        self.cluster = cluster
        self.dbname = dbname
        # Whichever server runs it, it is this file.
        self.mark = cluster.home / "evil"
        self.mark.unlink(missing_ok=True)
        cluster.rows(
            f"DO $$ BEGIN IF to_regrole('{NAME}') IS NULL THEN CREATE ROLE {NAME} LOGIN PASSWORD '{PASSWORD}'; END IF; END $$; CREATE SCHEMA low"
            f" AUTHORIZATION {NAME}", dbname=dbname)

    def does(self, text: str) -> None:
        """As the role itself, past nothing."""
        with self.cluster.connect(self.dbname, user=NAME, password=PASSWORD, options="") as session:
            session.execute(text)

    def function(self, arguments: str = "int", result: str = "boolean", value: str = "true", words: str = "IMMUTABLE",
                 when: str = "true") -> None:
        """``low.evil``; ``when`` is one more condition for what it does to a superuser."""
        self.does(HARM.format(when=when, mark=self.mark))
        self.does(EVIL.format(arguments=arguments, result=result, value=value, words=words))

    @property
    def won(self) -> bool:
        return Path(self.mark).exists()
