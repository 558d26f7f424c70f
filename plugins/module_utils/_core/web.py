# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks over HTTP: one request, or an exchange of several that cleans up after itself."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import time
import typing as t
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from .errors import FleetError
from .gates import REQUIRED, Keys, Seen, Spec, Tools, anything, flag, mapping, number, read_keys, text, whole

# Enough for every page that a check looks at; a longer answer is cut and what lies behind it is not found.
BODY_LIMIT = 1 << 20


def statuses(value: t.Any) -> list[int]:
    return [whole(item) for item in (value if isinstance(value, (list, tuple)) and value else [value])]


def expression(value: t.Any) -> str:
    """A JMESPath expression, parsed here if the library is there, so that a misspelt one is found before anything is asked."""
    try:
        import jmespath
    except ImportError:
        return text(value)
    try:
        jmespath.compile(text(value))
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"a JMESPath expression ({' '.join(str(error).split())})") from error
    return text(value)


def _requests(value: t.Any) -> list[dict[str, t.Any]]:
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(item, t.Mapping) for item in value):
        raise ValueError("a list of requests that is not empty")
    unknown: list[str] = []
    wrong: list[str] = []
    read = [read_keys(f"requests[{position}]", item, REQUEST, unknown, wrong) for position, item in enumerate(value)]
    if unknown or wrong:
        raise ValueError("a list of requests: " + " ".join(unknown + wrong).rstrip("."))
    return read


HTTP: Keys = {
    "url": (text, REQUIRED),
    "method": (text, "GET"),
    "request_headers": (mapping, {}),
    "body": (anything, None),
    "connect_to": (text, None),
    "ca_file": (text, None),
    "secret_files": (mapping, {}),
    "status": (statuses, [200]),
    "headers": (mapping, {}),
    "body_contains": (text, None),
    "json": (anything, None),
    "jmespath": (expression, None),
    "max_ms": (number, None),
}
REQUEST: Keys = {
    **{key: reader for key, reader in HTTP.items() if key not in ("ca_file", "connect_to", "secret_files")},
    "cleanup": (flag, False),
    "save": (mapping, {}),
}
EXCHANGE: Keys = {
    "url": (text, REQUIRED),
    "connect_to": (text, None),
    "ca_file": (text, None),
    "secret_files": (mapping, {}),
    "requests": (_requests, REQUIRED),
}


def check_http(spec: Spec, tools: Tools) -> Seen:
    words = words_of(spec, tools)
    answer = ask(_filled(spec, words), spec)
    findings = answer.findings(_filled(spec, words))
    if findings and spec["method"] == "GET" and not spec["request_headers"] and not spec["secret_files"]:
        # What an error page says; an answer to something secret is never shown.
        findings += (f"the answer begins with {answer.text[:120]!r}",)
    return Seen(answer.evidence(), findings)


def check_exchange(spec: Spec, tools: Tools) -> Seen:
    """Requests in order, each only if all before it passed, ``cleanup`` ones always. Cookies and saved values are kept in between."""
    words = words_of(spec, tools)
    cookies: dict[str, str] = {}
    evidence: list[dict[str, t.Any]] = []
    findings: list[str] = []
    for request in spec["requests"]:
        if findings and not request["cleanup"]:
            evidence.append({"method": request["method"], "url": request["url"], "status": None})
            continue
        try:
            filled = _filled(request, words)
            filled["url"] = urljoin(spec["url"], filled["url"])
            answer = ask(filled, spec, cookies)
            cookies.update(answer.cookies())
            evidence.append(answer.evidence())
            wrong = answer.findings(filled)
            if not wrong:
                words.update(_saved(answer, request["save"], tools))
        except (OSError, ValueError, EOFError, FleetError) as error:
            wrong = (str(error),)
        findings += [f"{request['method']} {request['url']}: {finding}" for finding in wrong]
    return Seen({"requests": evidence}, tuple(findings))


def http_writes(spec: Spec) -> bool:
    return spec["method"].upper() not in ("GET", "HEAD", "OPTIONS")


def exchange_writes(spec: Spec) -> bool:
    return any(http_writes(request) for request in spec["requests"])


class _Answer:
    """One HTTP answer, and how it differs from what is wanted."""

    def __init__(self, method: str, url: str, response: http.client.HTTPResponse, body: bytes, ms: int) -> None:
        self._method, self._url, self._ms, self._body = method, url, ms, body
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self._cookies = [value for name, value in response.getheaders() if name.lower() == "set-cookie"]
        self.text = body.decode("utf-8", "replace")

    def evidence(self) -> dict[str, t.Any]:
        return {"method": self._method, "url": self._url, "status": self.status, "ms": self._ms, "bytes": len(self._body)}

    def cookies(self) -> dict[str, str]:
        pairs = [line.partition(";")[0].partition("=") for line in self._cookies]
        return {name.strip(): value.strip() for name, _equal, value in pairs}

    def json(self) -> t.Any:
        return json.loads(self.text)

    def findings(self, wanted: Spec) -> tuple[str, ...]:
        found = []
        if wanted["status"] is not None and self.status not in wanted["status"]:
            found.append(f"status {self.status} was seen, {' or '.join(map(str, wanted['status']))} is wanted")
        for name, value in wanted["headers"].items():
            seen = self.headers.get(name.lower())
            # `text/html` is also met by `text/html; charset=utf-8`.
            if seen is None or str(value) not in (seen, seen.partition(";")[0].strip()):
                found.append(f"header {name} {seen!r} was seen, {value!r} is wanted")
        if wanted["body_contains"] is not None and wanted["body_contains"] not in self.text:
            found.append(f"the body ({len(self._body)} bytes) lacks {wanted['body_contains']!r}")
        if wanted["json"] is not None:
            try:
                found += _differences("json", wanted["json"], self.json())
            except ValueError:
                found.append(f"the body ({len(self._body)} bytes) is no JSON")
        if wanted["jmespath"] is not None:
            found += self._untrue(wanted["jmespath"])
        if wanted["max_ms"] is not None and self._ms > wanted["max_ms"]:
            found.append(f"the answer took {self._ms} ms, at most {wanted['max_ms']:g} is wanted")
        return tuple(found)

    def _untrue(self, asked: str) -> list[str]:
        """What is wrong when ``asked`` is anything but true of the body. What JMESPath calls truth-like is not enough: a typo gives null."""
        try:
            import jmespath
        except ImportError as error:
            raise FleetError(
                "tool_missing",
                "jmespath is not installed for this Python.",
                remedy="apt install python3-jmespath, or pip install jmespath.",
            ) from error
        try:
            seen = jmespath.search(asked, self.json())
        except jmespath.exceptions.JMESPathError as error:
            return [f"jmespath {asked!r} cannot be asked of this body: {' '.join(str(error).split())}"]
        except ValueError:
            return [f"the body ({len(self._body)} bytes) is no JSON"]
        return [] if seen is True else [f"jmespath {asked!r} gives {json.dumps(seen)[:80]}, true is wanted"]


def ask(request: Spec, common: Spec, cookies: t.Mapping[str, str] | None = None) -> _Answer:
    """One request, redirects not followed. ``connect_to`` redirects the connection only: Host and certificate stay those of the URL."""
    url = urlsplit(request["url"])
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{request['url']!r} is no http or https address")
    port = _port(url) or {"http": 80, "https": 443}[url.scheme]
    start, limit = time.monotonic(), common["timeout"]
    with socket.create_connection(_target(common["connect_to"], url.hostname, port), timeout=limit) as plain:
        if url.scheme == "http":
            return _talk(plain, request, start, limit, cookies or {})
        with verifying(common["ca_file"]).wrap_socket(plain, server_hostname=url.hostname) as secured:
            return _talk(secured, request, start, limit, cookies or {})


def _port(url: SplitResult) -> int | None:
    try:
        return url.port
    except ValueError:
        # Python's message holds what stands there, which is a password when the password holds a slash.
        raise ValueError("the address has no usable port; in a password, / is written as %2F and @ as %40") from None


def _talk(sock: socket.socket, request: Spec, start: float, limit: float, cookies: t.Mapping[str, str]) -> _Answer:
    url = urlsplit(request["url"])
    connection = http.client.HTTPConnection(url.hostname or "", timeout=limit)
    connection.sock = sock
    body, headers = _payload(request)
    headers.setdefault("Host", url.netloc.rpartition("@")[2])
    headers.setdefault("Connection", "close")
    if cookies:
        headers.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()))
    try:
        connection.request(request["method"], (url.path or "/") + (f"?{url.query}" if url.query else ""), body, headers)
        response = connection.getresponse()
        return _Answer(request["method"], request["url"], response, _read(response, start + limit), ms_since(start))
    except http.client.HTTPException as error:
        raise ValueError(f"no HTTP answer ({type(error).__name__}: {error})") from error


def verifying(ca_file: str | None) -> ssl.SSLContext:
    """A context that verifies chain and name, with the system's CAs or those of ``ca_file``.

    Python 3.13 began to refuse private CAs without a key usage extension, which other clients accept.
    The verdict must not depend on the Python.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    """The body, up to `BODY_LIMIT`. ``until`` ends an answer that trickles, which a timeout of single reads would not."""
    body = b""
    while len(body) < BODY_LIMIT:
        chunk = response.read1(1 << 16)
        body += chunk
        if not chunk:
            if response.length:
                raise ValueError(f"the answer broke off, {response.length} bytes are missing")
            break
        if time.monotonic() > until:
            raise ValueError("the answer did not end in time")
    return body


def _payload(request: Spec) -> tuple[bytes | None, dict[str, str]]:
    headers = {str(name): str(value) for name, value in request["request_headers"].items()}
    body = request["body"]
    if body is None or isinstance(body, str):
        return body.encode() if body is not None else None, headers
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return json.dumps(body).encode(), headers


def _target(connect_to: str | None, host: str, port: int) -> tuple[str, int]:
    if connect_to is None:
        return host, port
    split = urlsplit(f"//{connect_to}")
    if not split.hostname:
        raise ValueError(f"connect_to {connect_to!r} is no address")
    return split.hostname, split.port or port


def words_of(spec: Spec, tools: Tools) -> dict[str, str]:
    """What stands for ``{name}`` in requests: one random token as ``unique``, and what the secret files hold."""
    words = {"unique": secrets.token_hex(8)}
    for name, path in spec["secret_files"].items():
        words[name] = Path(str(path)).read_text(encoding="utf-8").strip()
        tools.secrets.append(words[name])
    password = urlsplit(spec["url"]).password
    if password:
        tools.secrets.extend((password, unquote(password)))
    return words


def _saved(answer: _Answer, save: t.Mapping[str, t.Any], tools: Tools) -> dict[str, str]:
    """Fields of the JSON answer by dotted path. Long ones may be session tokens, so they are kept out of results."""
    found = {}
    for name, path in save.items():
        value: t.Any = answer.json()
        for part in str(path).split("."):
            value = value.get(part) if isinstance(value, t.Mapping) else None
        if not isinstance(value, (str, int)) or value == "":
            raise ValueError(f"the answer holds no {path}, which later requests need")
        found[name] = str(value)
        if len(found[name]) >= 12:
            tools.secrets.append(found[name])
    return found


def _filled(request: Spec, words: t.Mapping[str, str]) -> dict[str, t.Any]:
    fields = ("url", "request_headers", "body", "headers", "body_contains", "json")
    return {key: fill(value, words) if key in fields else value for key, value in request.items()}


def fill(value: t.Any, words: t.Mapping[str, str]) -> t.Any:
    if isinstance(value, str):
        for name, word in words.items():
            value = value.replace(f"{{{name}}}", word)
        return value
    if isinstance(value, t.Mapping):
        return {fill(key, words): fill(item, words) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, words) for item in value]
    return value


def _differences(where: str, wanted: t.Any, seen: t.Any) -> list[str]:
    """What of ``wanted`` is not in ``seen``; a dictionary may hold more than is wanted, a list may not."""
    if isinstance(wanted, t.Mapping) and isinstance(seen, t.Mapping):
        return [line for key, value in wanted.items() for line in _differences(f"{where}.{key}", value, seen.get(key))]
    if isinstance(wanted, (list, tuple)) and isinstance(seen, list) and len(wanted) == len(seen):
        return [line for position, value in enumerate(wanted) for line in _differences(f"{where}[{position}]", value, seen[position])]
    # JSON knows true and 1 apart; Python does not.
    if wanted == seen and isinstance(wanted, bool) == isinstance(seen, bool):
        return []
    return [f"{where} {json.dumps(seen)[:80]} was seen, {json.dumps(wanted)[:80]} is wanted"]


def ms_since(start: float) -> int:
    return round((time.monotonic() - start) * 1000)
