# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The forms in which texts of others carry secrets: statements, connection strings, headers, command lines, configurations, keys. Pure.

Three rules hold for every pattern. A secret goes as a whole: a quote that does not end, because the text was cut, hides what follows.
The work grows with the text and no faster: what stands before a secret has a bounded length, and a value always matches once it has
begun, so nothing is read twice. What says that there is no secret (``null``, ``false``, the name of a file) stays readable.
"""

from __future__ import annotations

import re
import typing as t

MASK = "********"

# A quoted text with its quotes: '' and \' are inside it; without an end it goes on to the end of the text.
_SINGLE = r"'[^'\\]*(?:(?:''|\\.)[^'\\]*)*(?:'|\\?\Z)"
_DOUBLE = r'"[^"\\]*(?:(?:""|\\.)[^"\\]*)*(?:"|\\?\Z)'
# The same inside of another text: \"…\" of JSON in JSON, ''…'' of a literal in a literal. '' before a blank is an empty one.
_ESCAPED = r"(?P<in>\\{1,4}[\"'])(?:(?!(?P=in)).)*(?:(?P=in)|\Z)"
_DOUBLED = r"''(?=[^\s',;)}\]])[^']*(?:''?|\Z)"
_DOLLAR = r"\$(?P<tag>\w{0,63})\$(?:(?!\$(?P=tag)\$).)*(?:\$(?P=tag)\$|\Z)"
_QUOTED = rf"{_DOUBLED}|{_ESCAPED}|{_SINGLE}|{_DOUBLE}"
# A word: ends at a blank. A comma, semicolon, & or quote ends it where something new begins behind it, and is part of it elsewhere.
_NEXT = r"[\w.-]{1,40}\s?[=:]"
_WORD = rf"(?:[^\s,;&'\"\\]|[,;&](?=[^\s\"'{{\[])(?!{_NEXT})|\\?['\"](?=\w)|\\[^'\"\s]|\\\s(?=\S))+"
# Words that say that there is no secret.
_NONE = r"(?!(?:null|none|nil|true|false|yes|no|undefined|omit|required)(?:[\s,;\"')}\].]|\Z))"

_NAME = (
    r"(?:password|passwd|passphrase|pgpassword|secret|token|api[_-]?key|access[_-]?key(?![_-]?id)|auth[_-]?key|"
    r"(?:private|encryption|signing|account|shared|session)[_-]?key|amz-signature)"
    r"(?:[_-]?(?:access|key|base|value|hash|text|string|old|new|current|previous|\d{1,3})){0,3}"
)
_KEY = rf"(?:{_NAME}|(?<![a-z])(?:pass|pwd|pw)(?==(?![\"']?/)))(?![\w-])"
_BEFORE = r"(?<!--no-)"
# Between a name and its value: an ending quote of the name, then = or : or => or :=. ``name:/path`` is a file, ``name::type`` a cast.
_IS = r"\\{0,4}[\"']?\]?\s{0,8}(?:=>|:=|==?|:(?![/:]))"

_HEADER = (
    r"(?:(?:proxy-|www-)?authorization|set-cookie2?|cookie|(?:x|private|ocp)(?:-[a-z0-9]{1,30}){0,4}-(?:key|token|secret|auth)|private-token)(?![\w-])"
)
_SETS = r"(?:proxy_set_header|add_header|fastcgi_param|uwsgi_param|grpc_set_header|(?:set|add|replace)-header|header_up)"


def _compiled(text: str, flags: int = 0) -> t.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.DOTALL | flags)


# Each keeps what the group ``keep`` holds and hides the rest; without such a group all of it goes.
_FORMS: tuple[t.Pattern[str], ...] = (
    # Private keys, whole or cut.
    _compiled(
        r"(?P<keep>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
        r"(?:(?!-----END ).)*(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z|(?=-----END ))"
    ),
    # What PostgreSQL, crypt(3) and htpasswd keep of a password. https://www.postgresql.org/docs/current/catalog-pg-authid.html
    _compiled(r"\bSCRAM-SHA-\d{1,3}(?:-PLUS)?\$[^\s'\"`,)}\]\\]*"),
    _compiled(r"(?<![a-z0-9])md5[0-9a-f]{24,32}(?![0-9a-z])"),
    _compiled(r"\$(?:1|2[abxy]|5|6|7|y|gy|apr1|argon2(?:id?|d)|scrypt|pbkdf2(?:-sha\d{1,3})?)\$[./a-z0-9$=,+-]{8,}"),
    # Keys and tokens that are known by their first letters.
    _compiled(r"(?<![a-z0-9])(?-i:(?:AKIA|ASIA)[A-Z0-9]{16})(?![a-z0-9])"),
    _compiled(r"(?<![a-z0-9])(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk_live_|rk_live_|hvs\.|hf_)[\w-]{12,}"),
    _compiled(r"(?<![a-z0-9_-])eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)*"),
    # Statements.
    _compiled(rf"(?P<keep>\b(?:password|identified\s{{1,8}}(?:with\s{{1,8}}\S{{1,40}}\s{{1,8}})?by)\s{{1,8}}(?:E|U&)?)(?:{_DOLLAR}|{_QUOTED})"),
    # Headers, to the end of their line or quote. As a name with a value, and as configurations set them.
    _compiled(r"(?P<keep>\bDigest\s{1,8})username\s?=[^\r\n]*"),
    _compiled(
        rf"(?P<keep>(?<![\w-]){_HEADER}\\{{0,4}}[\"']?\s{{0,8}}[:=]\s{{0,8}})"
        r"(?:" + _QUOTED + r"|(?!\\[nrt])(?:=\\?\"[^\"\r\n]*\"|\\[^nrt\"'\r\n]|[^\r\n\"'\\])+)"
    ),
    _compiled(rf"(?P<keep>\bheader\s{{1,8}}{_HEADER}\s{{1,8}})(?:{_QUOTED})"),
    _compiled(
        rf"(?P<keep>\b{_SETS}\s{{1,8}}\\?[\"']?(?:{_HEADER}|[\w-]{{0,40}}{_NAME}(?![\w-]))\\?[\"']?\s{{1,8}})"
        rf"(?:{_QUOTED}|(?![$%]|if\b|unless\b)[^\s;\"']+(?:[^\S\r\n]+(?!if\b|unless\b)[^\s;\"']+)*)"
    ),
    _compiled(r"(?P<keep>\bBearer\s{1,8})(?=[\w.~+/=-]{0,200}[\d_=])[\w.~+/=-]{6,}"),
    _compiled(r"(?P<keep>\bBasic\s{1,8})(?=[a-z0-9+/]{0,200}[\d=])[a-z0-9+/]{8,}={0,2}"),
    # Command lines: one text, or the words of a list.
    _compiled(
        rf"(?P<keep>{_BEFORE}--[\w-]{{0,40}}(?:{_NAME}|pass)(?![\w-])(?:\s{{0,8}}=\s{{0,8}}|[\"']?\s{{0,8}},\s{{0,8}}|\s{{1,8}}))"
        rf"(?!-|(?:to|or|and|is|are|was|with|without|in|for|of|the|an?|instead|not|must|needs|has)\b)(?:{_QUOTED}|{_WORD})"
    ),
    _compiled(r"(?P<keep>\bcurl\b[^\r\n]{0,512}?[\s'\"](?:-u|--user|--proxy-user)[\s=,'\"]{1,8}[^\s:'\"/]{1,64}:)[^\s'\"]+"),
    _compiled(r"(?P<keep>(?<![\w-])-y\s{1,8}[\"']?(?:hmac-[\w-]{1,20}:)?[\w.-]{1,255}:)[^\s'\"]+"),
    # Configurations: a name, a blank, a value.
    _compiled(rf"(?P<keep>(?<![\w-])(?:secret|bindpw|ssl_password)\s{{1,8}})(?:{_QUOTED}|(?=[^\s]{{0,256}}[\d=+/]){_WORD})"),
    _compiled(r"(?P<keep>\b(?:insecure-password|requirepass|masterauth)\s{1,8})[^\s*]\S*"),
    _compiled(r"(?P<keep>\bSetCredential(?:Encrypted)?=[\w.-]{1,255}:)[^\r\n]+"),
    _compiled(r"(?P<keep>\bstats\s{1,8}auth\s{1,8}[^\s:]{1,64}:)\S+"),
    _compiled(r"(?P<keep>\blogin\s{1,8}\S{1,128}\s{1,8}password\s{1,8})\S+"),
    # A file of passwords: of libpq (https://www.postgresql.org/docs/current/libpq-pgpass.html), of PgBouncer.
    _compiled(r"(?P<keep>^[\w.*/-]{1,255}:(?:\*|\d{4,5}):[^\s:]{1,64}:[^\s:]{1,64}:)[^\r\n]+", re.MULTILINE),
    _compiled(r"(?P<keep>^\s{0,8}\"[^\"\r\n]{1,64}\"\s{1,8})\"(?:[^\"\r\n]|\"\")+\"(?=[^\S\n]{0,40}$)", re.MULTILINE),
    # A line of its own whose value has blanks, and a block of lines that are further in: YAML, ini.
    _compiled(
        rf"(?P<keep>^[^\S\r\n]{{0,40}}(?:-\s|export\s)?[\"']?[\w.-]{{0,40}}(?:{_NAME}|pass)(?![\w-])[\"']?"
        rf"(?:[^\S\r\n]{{1,8}}=[^\S\r\n]{{1,8}}|:[^\S\r\n]{{1,8}})){_NONE}(?![\"'|>&{{\[\s])[^\r\n]+",
        re.MULTILINE,
    ),
    _compiled(
        rf"(?P<keep>^(?P<further>[^\S\r\n]{{0,40}})(?:-\s)?[\"']?[\w.-]{{0,40}}{_NAME}(?![\w-])[\"']?:[^\S\r\n]{{1,8}}[|>][-+\d]{{0,2}}[^\S\r\n]{{0,40}}\r?\n)"
        r"(?:(?P=further)[^\S\r\n]+[^\r\n]*(?:\r?\n|\Z)|[^\S\r\n]*\r?\n)+",
        re.MULTILINE,
    ),
    # A name with a value, in all that is left: connection strings, environments, queries, JSON, reprs.
    _compiled(
        rf"(?P<keep>{_BEFORE}{_KEY}{_IS}\s{{0,8}}){_NONE}(?!(?<=\s)[{{\[])"
        rf"(?:[a-z]{{0,2}}{_DOLLAR}|[bruE]?(?:{_QUOTED})|-?\d+(?:\.\d+)?(?=[\s,}}\]]|\Z)|{_WORD})"
    ),
    _compiled(rf"(?P<keep>(?<![a-z])pass(?:word)?[\"']\s{{0,8}}:\s{{0,8}})(?:{_QUOTED})"),
)

# Who a text without scheme may name before the colon of ``name:password@host``; behind it may be the digest of an image.
_BARE = _compiled(
    r"(?P<keep>(?<![\w/.@:+-])(?!(?:mailto|from|to|cc|bcc|by|reply-to|acct|sip|sips|xmpp):)[a-z_][\w.+-]{0,62}:)"
    r"(?:[^\s:@/'\",;(){}<>\[\]][^\s@'\",<>]{0,255})(?=@[a-z0-9\[])(?!@sha\d{3}:)"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}\Z")
_STOPS = re.compile(r"[\s\"'`\\]")
_PORT = re.compile(r"\d{1,5}(?=[/?#,]|\Z)")


def hide(text: str) -> str:
    """``text`` with `MASK` in the place of every secret that has one of the forms."""
    text = _urls(text)
    for form in _FORMS:
        text = form.sub(_hidden, text)
    return _BARE.sub(_hidden, text)


def names_secret(name: str) -> bool:
    """Whether a value under this name of a mapping, or behind this word of a command line, is a secret."""
    return _NAMES.search(name) is not None


_NAMES = _compiled(rf"{_BEFORE}(?:(?:{_NAME}|(?<![a-z])(?:pass|pwd))(?![\w-])|\A{_HEADER})\s*\Z")


def _hidden(match: t.Match[str]) -> str:
    keep = match.groupdict().get("keep") or ""
    gone = match.group()[len(keep) :]
    # An empty value is said to be empty, and what is hidden stays as it is.
    return match.group() if gone in ("''", '""') or gone.startswith(MASK) else keep + MASK


def _urls(text: str) -> str:
    """Every ``scheme://user:password@host`` without its password, in which ``/``, ``@``, ``?`` and ``#`` may stand as they are."""
    if "://" not in text or "@" not in text:
        return text
    parts = text.split("://")
    done = [parts[0]]
    for number, part in enumerate(parts[1:], start=1):
        scheme = _SCHEME.search(parts[number - 1][-32:])
        done.append(_without_password(part, scheme.group().lower()) if scheme else part)
    return "://".join(done)


def _without_password(part: str, scheme: str) -> str:
    end = _end(part)
    given, rest = part[:end], part[end:]
    first = len(given)
    for mark in "/?#":
        found = given.find(mark, 0, first)
        first = found if found >= 0 else first
    user, colon, secret = given.partition(":")
    if not colon or "@" not in secret or len(user) > first or given.startswith("["):
        return part
    # host:port and a path with an @ in it; only pages have such paths.
    if user and scheme in ("http", "https") and "@" not in given[:first] and _PORT.match(secret):
        return part
    password, _at, host = secret.rpartition("@")
    return f"{user}:{MASK if password else ''}@{host}{rest}"


def _end(part: str) -> int:
    """Where the URL ends: at a blank, or at a quote that is not in the middle of a word before the @."""
    at = part.find("@")
    for stop in _STOPS.finditer(part):
        place = stop.start()
        if stop.group().isspace() or 0 <= at < place or not (part[place - 1 : place].isalnum() and part[place + 1 : place + 2].isalnum()):
            return place
    return len(part)
