# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of odd requests and answers. What is right is what nginx alone does with it."""

from __future__ import annotations

from bowline_traffic_odd import Case, answer, request

_WEBSOCKET = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
_CHUNKED = "Transfer-Encoding: chunked"


def _post(*lines, body=b"hello", **words):
    return request(*lines, f"Content-Length: {len(body)}", body=body, method=words.pop("method", "POST"), **words)


def _switching(protocol):
    accept = ["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] if protocol == "websocket" else []
    return answer(f"Upgrade: {protocol}", "Connection: Upgrade", *accept, status="HTTP/1.1 101 Switching Protocols", length=False)


def _upgrade(name, lines, protocol, **words):
    return Case(f"upgrade: {name}", request(*lines, **words), _switching(protocol), then=b"knock", echo=b"knock")


SIZES = [
    Case("a header of 7 kB", request("Cookie: " + "c" * 7000)),
    Case("a cookie of 16 kB", request("Cookie: " + "c" * 16384)),
    Case("a cookie of 100 kB", request("Cookie: " + "c" * 100_000)),
    Case("headers of 160 kB in 20 lines", request(*(f"X-Long-{number}: {'x' * 8000}" for number in range(20)))),
    Case("120 headers", request(*(f"X-Many-{number}: {number}" for number in range(120)))),
    Case("900 headers", request(*(f"X-Many-{number}: {number}" for number in range(900)))),
    Case("a target of 16 kB", request(target="/" + "a" * 16384)),
    Case("a target of 100 kB", request(target="/?" + "a" * 100_000)),
    Case("a header name of 200 letters", request("X-" + "n" * 198 + ": v")),
    Case("a token of 48 kB", request("Authorization: Negotiate " + "A" * 48_000)),
    Case("a body of 3 MB", _post(body=b"b" * 3_000_000)),
    Case("a body of 3 MB that is not buffered", _post(body=b"b" * 3_000_000, target="/stream/")),
    Case("Set-Cookie of 20 kB", request(), answer("Set-Cookie: a=" + "c" * 20_000)),
    Case("an answer with a header of 100 kB", request(), answer("X-Long: " + "x" * 100_000)),
    Case("an answer with 120 headers", request(), answer(*(f"X-Many-{number}: {number}" for number in range(120)))),
    Case("an answer with 900 headers", request(), answer(*(f"X-Many-{number}: {number}" for number in range(900)))),
    Case("an answer of 5 MB", request(), answer(body=b"b" * 5_000_000)),
]

TARGETS = [
    Case("raw bytes above 0x7e", request(target=b"/\x80\xfe\xff")),
    Case("raw UTF-8", request(target="/caf\u00e9/\u4e2d\u6587?q=\u00fc")),
    Case("quotes, brackets, braces", request(target='/"<>\\^`{|}')),
    Case("a fragment", request(target="/a#b")),
    Case("a space", request(target="/a b")),
    Case("an encoded zero", request(target="/%00")),
    Case("a percent sign alone", request(target="/?100%")),
    Case("double slashes", request(target="//a//b")),
    Case("dots", request(target="/a/./b/../c")),
    Case("encoded dots and slashes", request(target="/a/%2e%2e/%2Fb")),
    Case("a question mark alone", request(target="/?")),
    Case("brackets in the query", request(target="/?a[]=1&a[]=2")),
    Case("semicolons and colons", request(target="/a;b=c:d@e")),
    Case("absolute form", request(target="http://h/a?b")),
    Case("an asterisk", request(target="*", method="OPTIONS")),
    Case("a delete character", request(target=b"/\x7f")),
    Case("a control character", request(target=b"/\x01")),
]

METHODS = [
    Case("HEAD", request(method="HEAD")),
    Case("HEAD with a length", request(method="HEAD"), answer("Content-Length: 1000", length=False)),
    Case("PROPFIND", request(method="PROPFIND")),
    Case("M-SEARCH", request(method="M-SEARCH")),
    Case("an invented method", request(method="X_INVENTED")),
    Case("a method in lower case", request(method="get")),
    Case("TRACE", request(method="TRACE")),
    Case("DELETE with a body", _post(method="DELETE")),
    Case("GET with a body", _post(method="GET")),
    Case("OPTIONS with a body", _post(method="OPTIONS")),
    Case("POST without a body", _post(body=b"")),
    Case("POST without a length", request(method="POST")),
    Case("PATCH", _post(method="PATCH")),
]

HEADERS = [
    Case("an underscore", request("X_Under_Score: 1")),
    Case("an empty value", request("X-Empty:", "X-After: 1")),
    Case("a value of blanks", request("X-Blank:    ", "X-After: 1")),
    Case("no blank behind the colon", request("X-Tight:1")),
    Case("a blank before the colon", request("X-Loose : 1")),
    Case("bytes above 0x7e in a value", request(b"X-High: caf\xc3\xa9 \xff")),
    Case("a tab in a value", request("X-Tab: a\tb")),
    Case("a control character in a value", request(b"X-Control: a\x01b")),
    Case("quotes and commas", request('X-Quoted: "a, b", c;d="e"')),
    Case("every character of a token", request("X-!#$%&'*+-.^_`|~: 1")),
    Case("brackets in a name", request("X-Form[a](b): 1")),
    Case("a name in capitals", request("X-LOUD: 1")),
    Case("one name twice", request("X-Twice: 1", "X-Twice: 2")),
    Case("two lines of cookies", request("Cookie: a=1", "Cookie: b=2")),
    Case("X-Forwarded-For twice", request("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2, 192.0.2.3")),
    Case("a length twice", request("Content-Length: 5", "Content-Length: 5", body=b"hello", method="POST")),
    Case("a folded line", request("X-Folded: a", " b")),
    Case("a line without a colon", request("Garbage")),
    Case("lines that end with LF", request("X-Line: 1").replace(b"\r\n", b"\n")),
    Case("an empty line first", b"\r\n" + request()),
    Case("Host with a port", request(host="h:8080")),
    Case("Host in capitals with a dot", request(host="HUB.Example.")),
    Case("Host with an underscore", request(host="my_hub")),
    Case("Host of IPv6", request(host="[2001:db8::1]:80")),
    Case("HTTP/1.0 without Host", request(version="HTTP/1.0", host=None)),
    Case("HTTP/1.0 that keeps", request("Connection: keep-alive", version="HTTP/1.0")),
    Case("TE", request("TE: trailers, deflate", "Connection: TE")),
    Case("Connection names a header", request("Connection: X-Mine", "X-Mine: 1")),
    Case("Accept-Encoding", request("Accept-Encoding: br, gzip;q=0.1")),
    Case("Range", request("Range: bytes=0-0,-1"), answer("Content-Range: bytes 0-0/9", status="HTTP/1.1 206 Partial Content", body=b"x")),
    Case("X-Real-IP and Forwarded", request("X-Real-IP: 192.0.2.1", "Forwarded: for=192.0.2.1;proto=https")),
    Case("Max-Forwards", request("Max-Forwards: 0", method="OPTIONS")),
]

BODIES = [
    Case("chunked", request(_CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n", method="POST")),
    Case("chunked and not buffered", request(_CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n", method="POST", target="/stream/")),
    Case("chunks with extensions", request(_CHUNKED, body=b'5;a="b"\r\nhello\r\n0\r\n\r\n', method="POST", target="/stream/")),
    Case("chunks with trailers", request(_CHUNKED, "Trailer: X-Sum", body=b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", method="POST", target="/stream/")),
    Case("chunks with padded sizes", request(_CHUNKED, body=b"0005\r\nhello\r\n000\r\n\r\n", method="POST")),
    Case("a chunked GET", request(_CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n")),
    Case("Chunked with a capital", request("Transfer-Encoding: Chunked", body=b"5\r\nhello\r\n0\r\n\r\n", method="POST")),
    Case("Transfer-Encoding identity", request("Transfer-Encoding: identity", "Content-Length: 5", body=b"hello", method="POST")),
    Case("Expect", request("Expect: 100-continue", "Content-Length: 5", method="POST"), then=b"hello"),
    Case("Expect, not buffered", request("Expect: 100-continue", "Content-Length: 5", method="POST", target="/stream/"), then=b"hello"),
    Case("another expectation", _post("Expect: something-else")),
    Case("a body of all bytes", _post(body=bytes(range(256)) * 8)),
    Case("an early answer to a large body", _post(body=b"b" * 2_000_000, target="/stream/"), answer(status="HTTP/1.1 413 Too Large", body=b"no"), early=True),
    Case("two requests at once", request() + request("X-Second: 1"), answers=2),
]

UPGRADES = [
    _upgrade("websocket", _WEBSOCKET, "websocket", target="/stream/"),
    _upgrade("websocket with an extension", (*_WEBSOCKET, "Sec-WebSocket-Extensions: permessage-deflate"), "websocket", target="/stream/"),
    _upgrade("tcp", ("Upgrade: tcp", "Connection: Upgrade"), "tcp", target="/stream/"),
    _upgrade("POST to tcp", ("Upgrade: tcp", "Connection: Upgrade", "Content-Length: 0"), "tcp", target="/stream/", method="POST"),
    _upgrade("PUT to an invented one", ("Upgrade: any/1.0", "Connection: Upgrade", "Content-Length: 0"), "any/1.0", target="/stream/", method="PUT"),
    Case("an upgrade that is declined", request(*_WEBSOCKET, target="/stream/")),
    Case("an upgrade that is refused", request(*_WEBSOCKET, target="/stream/"), answer(status="HTTP/1.1 426 Upgrade Required", body=b"no")),
    Case("h2c that is declined", request("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__", target="/stream/")),
    Case("an answer that offers h2", request(), answer("Upgrade: h2,h2c", "Connection: Upgrade", body=b"ok")),
]

ANSWERS = [
    *(
        Case(f"status {code}", request(), answer(status=f"HTTP/1.1 {code} Any", body=b"x"))
        for code in (201, 207, 226, 299, 300, 402, 418, 451, 499, 500, 509, 599, 999)
    ),
    Case("204", request(), answer(status="HTTP/1.1 204 No Content", length=False)),
    Case("204 with a length", request(), answer(status="HTTP/1.1 204 No Content")),
    Case("304 with a length", request(), answer("Content-Length: 100", status="HTTP/1.1 304 Not Modified", length=False)),
    Case("205 with a body", request(), answer(status="HTTP/1.1 205 Reset", body=b"x")),
    Case("no reason", request(), answer(status="HTTP/1.1 200", body=b"x")),
    Case("a reason of odd bytes", request(), answer(status=b"HTTP/1.1 200 caf\xc3\xa9 \xff", body=b"x")),
    Case("HTTP/1.0 until the end", request(), answer(status="HTTP/1.0 200 OK", length=False, body=b"until the end")),
    Case("HTTP/1.1 until the end", request(), answer(length=False, body=b"until the end")),
    Case("HTTP/1.0 with a length", request(), answer("Connection: keep-alive", status="HTTP/1.0 200 OK", body=b"x")),
    Case("HTTP/1.2", request(), answer(status="HTTP/1.2 200 OK", body=b"x")),
    Case("an answer of HTTP/2.0", request(), answer(status="HTTP/2.0 200 OK", body=b"x")),
    Case("LF in the answer", request(), answer("X-Line: 1", body=b"x").replace(b"\r\n", b"\n")),
    Case("an empty value in the answer", request(), answer("X-Empty:", "X-After: 1", body=b"x")),
    Case("brackets in a name of the answer", request(), answer("X-Form[a](b): 1", body=b"x")),
    Case("a blank before the colon of the answer", request(), answer("X-Loose : 1", body=b"x")),
    Case("an underscore in the answer", request(), answer("X_Under: 1", body=b"x")),
    Case("high bytes in the answer", request(), answer(b"X-High: caf\xc3\xa9 \xff", body=b"x")),
    Case("a control character in the answer", request(), answer(b"X-Control: a\x01b", body=b"x")),
    Case("a tab in the answer", request(), answer("X-Tab: a\tb", body=b"x")),
    Case("a folded line in the answer", request(), answer("X-Folded: a", " b", body=b"x")),
    Case("a location of raw bytes", request(), answer(b"Location: /caf\xc3\xa9 a", status="HTTP/1.1 302 Found")),
    Case("many cookies", request(), answer(*(f"Set-Cookie: c{number}={number}; Path=/" for number in range(60)), body=b"x")),
    Case("two challenges", request(), answer("WWW-Authenticate: Negotiate", 'WWW-Authenticate: Basic realm="a, b"', status="HTTP/1.1 401 No", body=b"x")),
    Case("a length twice in the answer", request(), answer("Content-Length: 1", body=b"x")),
    Case("a length and chunks", request(target="/stream/"), answer("Content-Length: 9", _CHUNKED, length=False, body=b"1\r\nx\r\n0\r\n\r\n"), cut=True),
    Case("chunks in the answer", request(target="/stream/"), answer(_CHUNKED, length=False, body=b"5\r\nhello\r\n0\r\n\r\n")),
    Case("chunks with extensions in the answer", request(target="/stream/"), answer(_CHUNKED, length=False, body=b"5;a=b\r\nhello\r\n0\r\n\r\n")),
    Case(
        "chunks with trailers in the answer",
        request(target="/stream/"), answer(_CHUNKED, "Trailer: X-Sum", length=False, body=b"1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ),
    Case("chunks of nothing", request(target="/stream/"), answer(_CHUNKED, length=False, body=b"0\r\n\r\n")),
    Case("Chunked with a capital in the answer", request(target="/stream/"), answer("Transfer-Encoding: Chunked", length=False, body=b"1\r\nx\r\n0\r\n\r\n")),
    Case("chunks of an application to HTTP/1.0", request(), answer(_CHUNKED, length=False, body=b"5\r\nhello\r\n0\r\n\r\n")),
    Case("HEAD with chunks", request(method="HEAD", target="/stream/"), answer(_CHUNKED, length=False)),
    Case("100 first", _post(target="/stream/"), b"HTTP/1.1 100 Continue\r\n\r\n" + answer(body=b"x")),
    Case("103 first", request(target="/stream/"), b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" + answer(body=b"x")),
    Case("102 first", request(target="/stream/"), b"HTTP/1.1 102 Processing\r\n\r\n" + answer(body=b"x")),
    Case("a body that breaks off", request(), answer("Content-Length: 100", length=False, body=b"x"), cut=True),
    Case("nothing at all", request(), b""),
    Case("two answers", request(), answer(body=b"x") + answer(body=b"y")),
    Case("more than the length", request(), answer("Content-Length: 1", length=False, body=b"xyz")),
]

# What HAProxy's own parser refuses whatever its options say; docs/guides/edge.md names them. A version that passes one moves it up.
LIMITS = [
    _upgrade("POST with a body to tcp", ("Upgrade: tcp", "Connection: Upgrade", "Content-Length: 2"), "tcp", target="/stream/", method="POST", body=b"{}"),
    Case("upgrade: a websocket without a key", request("Upgrade: websocket", "Connection: Upgrade", target="/stream/"), _switching("any")),
    Case("a header name of 300 letters", request("X-" + "n" * 298 + ": v")),
    Case("a line without a colon in the answer", request(), answer("Garbage", body=b"x")),
    Case("two lengths in the answer", request(), answer("Content-Length: 9", body=b"x"), cut=True),
]

CASES = [*SIZES, *TARGETS, *METHODS, *HEADERS, *BODIES, *UPGRADES, *ANSWERS]
