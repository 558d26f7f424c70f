# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One engine over the low-level client of the docker SDK, which brings sockets, TLS and ssh. Bodies go through as the JSON that they are.

Every failure says what became of the request: it was not sent (`Unsent`), its outcome is not known (`Unknown`), or the engine answered.
"""

from __future__ import annotations

import importlib
import json
import re
import socket
import ssl
import sys
import typing as t
from urllib.parse import quote

from ..._core.errors import FleetError
from ..._core.wait import Deadline
from ..model import API_VERSION_MIN, Json
from .diagnose import context_of, diagnose, wrong_files
from .endpoint import Endpoint, Options, newer

SDK_MIN = (7, 1)

Query = t.Mapping[str, t.Any]

# The way from a manager to its leader broke, or the leader lost its office, while the request was under way: gRPC's codes as moby prints them,
# and ErrLostLeadership, ErrStopped of swarmkit (manager/state/raft/raft.go).
_BROKEN = re.compile(
    r"^(rpc error: code = (unavailable|deadlineexceeded|canceled|aborted)\b|context deadline exceeded|context canceled)|lost leader status|node is stopped"
)


class OutOfSequence(FleetError):
    """The object was changed since the version that the write was planned from."""


class Exists(FleetError):
    """There is an object of this name."""


class Gone(FleetError):
    """There is no such object."""


class NoLeader(FleetError):
    """The managers have no leader now: nothing was done, and it may pass."""


class NotManager(FleetError):
    """The engine is a worker, or in no Swarm: nothing was done."""


class Unsent(Exception):
    """No connection came about, so nothing was done."""


class Unknown(Exception):
    """The connection, or the way from this manager to the leader, broke after the request was sent."""


class Wire:
    """One endpoint. It is opened by the first request, and again after it broke."""

    def __init__(self, endpoint: Endpoint, options: Options) -> None:
        self.endpoint, self.options = endpoint, options
        self.api_version = ""
        self._client: t.Any = None

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def json(self, method: str, path: str, query: t.Optional[Query] = None, body: t.Any = None, headers: t.Optional[t.Mapping[str, str]] = None) -> t.Any:
        """The JSON of the answer, None for an empty one. ``path`` is quoted already (see `segment`)."""
        return _parsed(self.raw(method, path, query, body, headers), self.endpoint)

    def raw(
        self,
        method: str,
        path: str,
        query: t.Optional[Query] = None,
        body: t.Any = None,
        headers: t.Optional[t.Mapping[str, str]] = None,
        timeout: t.Optional[float] = None,
    ) -> bytes:
        """The body of the answer. Raises Unsent, Unknown, or a FleetError that tells what the engine answered."""
        self._open()
        status, content = self._send(method, f"/v{self.api_version}{path}", query, body, headers, timeout)
        if status >= 400:
            raise refusal(self.endpoint.given, method, path, status, _said(content))
        return content

    def patient(self, method: str, path: str, query: Query, seconds: float) -> bytes:
        """What comes of the body in ``seconds``: a stream that does not end is no failure."""
        self._open()
        deadline, parts = Deadline(seconds), []
        try:
            url = f"{self._client.base_url}/v{self.api_version}{path}"
            answer = self._client.request(method, url, params=dict(query), timeout=seconds, stream=True, allow_redirects=False)
            for part in answer.iter_content(None):
                parts.append(part)
                if deadline.expired():
                    break
        except self._breaks() as error:
            self.close()
            if _unsent(error):
                raise Unsent(_reason(error)) from error
            return b"".join(parts)
        content = b"".join(parts)
        if answer.status_code >= 400:
            raise refusal(self.endpoint.given, method, path, answer.status_code, _said(content))
        if deadline.expired():
            self.close()
        return content

    def _breaks(self) -> tuple[type[Exception], ...]:
        """What a connection that breaks raises."""
        import requests

        # urllib3 closes a socket that broke while it sent and then asks it for the answer; paramiko's are not known to it as sockets.
        more = (EOFError, AttributeError, _ssh_error()) if self.endpoint.kind == "ssh" else ()
        return (requests.exceptions.RequestException, OSError, *more)

    def explain(self, seen: t.Any) -> FleetError:
        """Why this endpoint does not answer, stage by stage."""
        return diagnose(self.endpoint, self.options, str(seen))

    def _open(self) -> None:
        if self._client is not None:
            return
        self._client = _client(self.endpoint, self.options)
        try:
            self.api_version = self._negotiated()
        except BaseException:
            self.close()
            raise

    def _negotiated(self) -> str:
        """The newest version that the engine speaks, or the one that was asked for."""
        try:
            status, content = self._send("GET", "/version")
        except Unknown as error:
            raise Unsent(str(error)) from error
        offered = _parsed(content, self.endpoint) if status < 400 else None
        newest = str(offered.get("ApiVersion") or "") if isinstance(offered, dict) else ""
        if b"HTTP request to an HTTPS server" in content:
            raise FleetError(
                "endpoint_unreachable",
                f"{self.endpoint.given} does not answer (tls): it speaks TLS, and was asked in plain text. Nothing was changed.",
                "Give ca_path, client_cert and client_key.",
                details={"endpoint": self.endpoint.given, "stage": "tls"},
            )
        if not newest:
            raise self.explain(f"the answer {status} of /version is not that of an engine: {_said(content)[:200]}")
        wanted = newest if self.options.api_version == "auto" else self.options.api_version
        if not newer(newest, API_VERSION_MIN) or not newer(newest, wanted):
            raise FleetError(
                "api_unsupported",
                f"{self.endpoint.given} speaks API {newest}; {max(wanted, API_VERSION_MIN, key=_number)} is needed. Nothing was changed.",
                "Update the engine to Docker 20.10 or newer, or leave api_version at auto.",
                details={"endpoint": self.endpoint.given, "api_version": newest},
            )
        return wanted

    def _send(
        self,
        method: str,
        path: str,
        query: t.Optional[Query] = None,
        body: t.Any = None,
        headers: t.Optional[t.Mapping[str, str]] = None,
        timeout: t.Optional[float] = None,
    ) -> tuple[int, bytes]:
        client = self._client
        told = {"Content-Type": "application/json", **(headers or {})} if body is not None else dict(headers or {})
        try:
            answer = client.request(
                method,
                client.base_url + path,
                params=dict(query or {}),
                data=None if body is None else json.dumps(body).encode(),
                headers=told,
                timeout=timeout or self.options.timeout,
                allow_redirects=False,
            )
            return int(answer.status_code), bytes(answer.content)
        except self._breaks() as error:
            # A connection that broke is not used again.
            self.close()
            raise (Unsent if _unsent(error) else Unknown)(_reason(error)) from error


def segment(name: str) -> str:
    """``name`` as one segment of a path, whatever is in it."""
    return quote(name, safe="")


def filters(wanted: t.Optional[t.Mapping[str, t.Sequence[str]]]) -> dict[str, str]:
    """The query ``filters`` of a list, as JSON of lists."""
    return {"filters": json.dumps({key: list(values) for key, values in wanted.items()})} if wanted else {}


def refusal(endpoint: str, method: str, path: str, status: int, said: str) -> Exception:
    """What an answer of 400 or more means. moby has no codes beside the status, so some are told by their words (api/server/httpstatus and
    daemon/cluster/errors.go of moby, manager/state/store/errors.go of swarmkit)."""
    low = said.lower()
    what = f"{endpoint}: {method} {path} was answered with {status}: {said or 'no words'}"
    details = {"endpoint": endpoint, "status": status, "answer": said}
    # ErrSequenceConflict arrives with 500.
    if "update out of sequence" in low:
        return OutOfSequence("conflict", f"{what}. It was changed by somebody else meanwhile; nothing was written over.", "Run again.", details)
    if "not a swarm manager" in low or "not part of a swarm" in low:
        return NotManager("not_manager", f"{what}. Nothing was changed.", "Give a manager in docker_host.", details)
    if "does not have a leader" in low or "no elected cluster leader" in low:
        return NoLeader("quorum_lost", f"{what}. Nothing was changed.", "Start managers until more than half of them run, else use swarm_recover.", details)
    # A registry that does not answer is told with 500, too; that has nothing to do with us.
    if status >= 500 and not path.startswith("/distribution/") and _BROKEN.search(low):
        return Unknown(what)
    # A registry that does not know an image is no object of ours that is gone.
    if status == 404 and not path.startswith("/distribution/"):
        return Gone("conflict", f"{what}. It was removed meanwhile, or never was.", "Run again.", details)
    if status == 409 or "name conflicts with an existing object" in low:
        return Exists("conflict", f"{what}. Something has this name already; it stays as it is.", "Run again, or choose another name.", details)
    if "client version" in low and ("too new" in low or "too old" in low):
        return FleetError("api_unsupported", f"{what}. Nothing was changed.", "Leave api_version at auto.", details)
    return FleetError("engine_error", f"{what}.", "Follow the words of the engine; its log (`journalctl -u docker`) has more.", details)


def sdk() -> t.Any:
    """The library docker. Raises FleetError "tool_missing" when it is not there, or too old."""
    python = sys.executable or "python3"
    try:
        found = importlib.import_module("docker")
    except ImportError as error:
        raise FleetError(
            "tool_missing",
            f"The library docker cannot be loaded by {python}: {error}. Nothing was changed.",
            f"Install it there: `{python} -m pip install 'docker>=7.1'`, or the Debian package python3-docker where it is new enough.",
        ) from error
    version = str(getattr(found, "__version__", "0"))
    numbers = tuple(int(word) for word in version.split(".")[:2] if word.isdigit())
    if numbers < SDK_MIN:
        raise FleetError(
            "tool_missing",
            f"The library docker of {python} is {version}; 7.1 or newer is needed. Nothing was changed.",
            f"`{python} -m pip install 'docker>=7.1'`",
        )
    return found


def _client(endpoint: Endpoint, options: Options) -> t.Any:
    """A client that has asked nothing yet; the version is settled by `Wire`, because the SDK's own question would come before our settings."""
    docker = sdk()
    settings: dict[str, t.Any] = {"base_url": endpoint.url, "version": API_VERSION_MIN, "timeout": options.timeout}
    try:
        if endpoint.kind == "tls":
            cert = (options.client_cert, options.client_key) if options.client_cert else None
            settings["tls"] = docker.tls.TLSConfig(client_cert=cert, ca_cert=options.ca_path or None, verify=options.verify)
        client = _over_ssh(docker, settings) if endpoint.kind == "ssh" else docker.APIClient(**settings)
    except docker.errors.DockerException as error:
        if endpoint.kind == "ssh" and "paramiko" in str(error):
            python = sys.executable or "python3"
            said = f"{endpoint.given}: the library paramiko is not there for {python}. Nothing was changed."
            raise FleetError("tool_missing", said, f"`{python} -m pip install paramiko`") from error
        raise FleetError("option_invalid", f"{endpoint.given}: {error}. Nothing was changed.", "Correct docker_host or the TLS options.") from error
    except (OSError, EOFError, _ssh_error()) as error:
        raise Unsent(_reason(error)) from error
    # REQUESTS_CA_BUNDLE of the environment would take the place of ca_path, and a proxy or ~/.netrc would get in between.
    client.trust_env = False
    if endpoint.kind == "tls":
        try:
            client.mount("https://", _adapter(options))
        except (OSError, ValueError) as error:
            raise wrong_files(endpoint, options, error) from error
    return client


def _over_ssh(docker: t.Any, settings: t.Mapping[str, t.Any]) -> t.Any:
    """The SDK connects at once, and leaves the patience to the system, which would wait for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(settings["timeout"])
    try:
        return docker.APIClient(**settings)
    finally:
        socket.setdefaulttimeout(before)


def _adapter(options: Options) -> t.Any:
    """Requests' own adapter, with our idea of a good certificate and of its name, an option that the SDK has lost with 7.0."""
    import requests.adapters

    context = context_of(options)
    named = {"assert_hostname": options.tls_hostname, "server_hostname": options.tls_hostname} if options.tls_hostname else {}

    class Named(requests.adapters.HTTPAdapter):  # type: ignore[misc]
        def init_poolmanager(self, *words: t.Any, **more: t.Any) -> None:
            super().init_poolmanager(*words, **more, **named, ssl_context=context)

    return Named(max_retries=0)


def _ssh_error() -> type[Exception]:
    """What paramiko raises, where it is loaded."""
    paramiko = sys.modules.get("paramiko")
    return t.cast("type[Exception]", paramiko.SSHException) if paramiko is not None else Unsent


def _chain(error: t.Any) -> t.Iterator[BaseException]:
    """``error`` and what is behind it: requests and urllib3 put causes into arguments and ``reason``."""
    waiting, known = [error], set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in known:
            continue
        known.add(id(one))
        yield one
        waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]


def _unsent(error: BaseException) -> bool:
    """Whether no request can have reached the engine: there was no connection, or its TLS did not come about."""
    import requests
    import urllib3

    never = (
        requests.exceptions.ConnectTimeout,
        urllib3.exceptions.NewConnectionError,
        ConnectionRefusedError,
        FileNotFoundError,
        PermissionError,
        socket.gaierror,
    )
    return any(isinstance(one, never) or _not_agreed(one) for one in _chain(error))


def _not_agreed(error: BaseException) -> bool:
    """Whether TLS ended with a refusal, by us or by the engine. A mere end of the connection can come after the request."""
    return isinstance(error, ssl.SSLError) and (isinstance(error, ssl.SSLCertVerificationError) or "ALERT" in str(error.reason or ""))


def _reason(error: BaseException) -> str:
    """The innermost words: what requests says around them is an address and a repr."""
    words = [str(one) for one in _chain(error) if isinstance(one, OSError) and not isinstance(one, _wrappers()) and str(one)]
    return words[-1] if words else str(error)


def _wrappers() -> t.Any:
    import requests

    return requests.exceptions.RequestException


def _parsed(content: bytes, endpoint: Endpoint) -> t.Any:
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError:
        raise FleetError(
            "engine_error",
            f"{endpoint.given} answered with what is no JSON: {content[:200].decode('utf-8', 'replace')}",
            "Check that docker_host is the address of an engine, and not of a proxy.",
        ) from None


def _said(content: bytes) -> str:
    text = content.decode("utf-8", "replace").strip()
    try:
        told: t.Union[Json, t.Any] = json.loads(text)
    except ValueError:
        return text[:1000]
    return str(told.get("message") or text) if isinstance(told, dict) else text[:1000]


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
