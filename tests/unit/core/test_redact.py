# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets in texts of others: what must vanish, what must stay, and that no text makes the search slow."""

from __future__ import annotations

import base64
import json
import random
import time

import pytest
from ansible_collections.bowline.fleet.plugins.module_utils._core.redact import MASK, field_words, redact

SALT, STORED = "c2FsdHNhbHRzYWx0c2FsdA==", "U3RvcmVkS2V5U3RvcmVkS2V5U3RvcmVkS2V5U3RvcmU="
SCRAM = f"SCRAM-SHA-256$4096:{SALT}${STORED}:{STORED[::-1].strip('=')}="
MD5 = "md5" + "0123456789abcdef" * 2
KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
PEM = f"-----BEGIN PRIVATE KEY-----\n{KEY}\n{KEY[::-1]}\n-----END PRIVATE KEY-----"
BASIC = base64.b64encode(b"hub:hunter2").decode()
# In two parts, because no file of the project may hold what looks like one.
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodWIifQ.c2lnbmF0dXJl"

# Text; what must not be in it afterwards; what must still be. Words are parted by a blank.
FORMS = [
    # Verifiers, statements.
    (f"ALTER ROLE app PASSWORD '{SCRAM}' LOGIN", f"{SALT} {STORED}", "ALTER app PASSWORD LOGIN"),
    (f"ALTER ROLE app PASSWORD '{SCRAM}"[:120], f"{SALT} {STORED[:20]}", "ALTER app PASSWORD"),
    (f'rolpassword | {SCRAM}', f"{SALT} {STORED}", "rolpassword"),
    (f'("app", "{SCRAM}", true)', f"{SALT} {STORED}", "app true"),
    (f"the verifier {MD5} of app", MD5, "the verifier of app"),
    (f"CREATE ROLE app ENCRYPTED PASSWORD '{MD5}'", MD5, "CREATE app"),
    ("CREATE ROLE app PASSWORD 'it''s mine' LOGIN", "it's mine", "CREATE app LOGIN"),
    ("alter user app password E'a\\'b c' valid", "a\\'b c'", "alter app valid"),
    ("ALTER ROLE app PASSWORD $x$hunter2 '$x$ LOGIN", "hunter2", "ALTER LOGIN"),
    ("ALTER ROLE app PASSWORD $$hunter2$$ LOGIN", "hunter2", "ALTER LOGIN"),
    ("ALTER ROLE app PASSWORD  'hunter2 and no end", "hunter2 end", "ALTER app"),
    ("ALTER USER 'a' IDENTIFIED BY 'hunter2' x", "hunter2", "ALTER x"),
    ("CREATE SUBSCRIPTION s CONNECTION 'host=h password=''two words'' dbname=d'", "two words", "host=h dbname=d"),
    ("shadow: root:$6$salt$abcdefghijklmnop:1", "abcdefghijklmnop", "shadow root"),
    ("hub:$apr1$abcdefgh$0123456789abcdefghijkl", "0123456789abcdefghijkl", "hub"),
    # Connection strings.
    ("host=h password=hunter2 dbname=d", "hunter2", "host=h dbname=d"),
    ("password='two words' dbname=d", "two words", "dbname=d"),
    ("password='it''s \\'mine' dbname=d", "it' mine", "dbname=d"),
    ('password = "two words" x', "two words", "x"),
    ("password=it's,odd;a&b host=h", "it's odd a&b", "host=h"),
    ("password=a\\ b host=h", "a\\ b", "host=h"),
    ("sslpassword=hunter2 sslkey=/k", "hunter2", "sslkey=/k"),
    ("PGPASSWORD=hunter2 psql -h db", "hunter2", "psql -h db"),
    ("POSTGRES_PASSWORD=hunter2", "hunter2", "POSTGRES_PASSWORD"),
    ("export DB_PASS=hunter2; run", "hunter2", "export run"),
    ("SECRET_KEY_BASE: 0123abcd", "0123abcd", "SECRET_KEY_BASE"),
    # URLs.
    ("https://user:hunter2@example.org/x", "hunter2", "https://user @example.org/x"),
    ("redis://:hunter2@cache:6379/0", "hunter2", "redis:// @cache:6379/0"),
    ("postgres://hub:pa/ss@db/hub", "pa/ss", "postgres://hub @db/hub"),
    ("postgres://hub:pa@ss@db:5432/hub", "pa@ss pa ss@", "postgres://hub @db:5432/hub"),
    ("postgres://hub:p@s/s#x?y@db/hub", "s/s #x ?y", "postgres://hub @db/hub"),
    ("amqp://hub:80/80x@mq/v", "80/80x", "amqp://hub @mq/v"),
    ("redis://:1234/5@cache/0", "1234/5", "@cache/0"),
    ("postgres://hub:it's@db/hub and more", "it's", "@db/hub more"),
    ('{"dsn":"postgres://hub:a:b@db/hub","n":1}', "a:b", '@db/hub ,"n":1'),
    ("amqp://a:one@m1,amqp://b:two@m2", "one two", "amqp://a @m1 amqp://b @m2"),
    ("postgresql+psycopg://u:hunter2@[::1]:5432/d", "hunter2", "@[::1]:5432/d"),
    ("https://h/x?token=abc123&page=2", "abc123", "https://h/x page=2"),
    ("https://s3/x?X-Amz-Signature=abc123&Expires=3", "abc123", "Expires=3"),
    ("connecting as hub:hunter2@db/hub", "hunter2", "connecting hub @db/hub"),
    ("curl -s -u hub:hunter2 https://h/", "hunter2", "curl hub https://h/"),
    ("['curl', '-u', 'hub:hunter2', 'https://h/']", "hunter2", "curl https://h/"),
    # Headers.
    ("Authorization: Bearer abc.def-1", "abc.def-1", "Authorization"),
    ("authorization: Basic " + BASIC, BASIC, "authorization"),
    ('Authorization: Digest username="hub", response="0a1b"\nHost: h', "0a1b", "Host: h"),
    ('-H "Authorization: Bearer abc1" https://h/', "abc1", "https://h/"),
    ("{'Authorization': 'Bearer abc1', 'Host': 'h'}", "abc1", "Host h"),
    ('{"authorization":"token abc","n":1}', "abc", '"n":1'),
    ("sent Bearer abcdef0123 to h", "abcdef0123", "sent to h"),
    ("sent Basic " + BASIC + " to h", BASIC, "sent to h"),
    ("Cookie: sid=abc1; other=def2\nHost: h", "abc1 def2", "Cookie Host: h"),
    ('Set-Cookie: sid="abc1"; Path=/\nHost: h', "abc1", "Set-Cookie Host: h"),
    ("header Set-Cookie 'sid=abc1' was seen", "abc1", "header was seen"),
    ("X-Api-Key: abc1", "abc1", "X-Api-Key"),
    ("X-Bowline-Token: abc1", "abc1", "X-Bowline-Token"),
    ("PRIVATE-TOKEN: abc1", "abc1", "PRIVATE-TOKEN"),
    # Command lines.
    ("tool --api-key abc1 --all", "abc1", "tool --all"),
    ("tool --token=abc1 --all", "abc1", "tool --all"),
    ("tool --password 'two words' --all", "two words", "tool --all"),
    ("['tool', '--client-secret', 'abc1', '--all']", "abc1", "tool --all"),
    ("nsupdate -y hmac-sha256:hub-key:c2VjcmV0 -v", "c2VjcmV0", "nsupdate hub-key -v"),
    # Configurations.
    ('key "hub" { algorithm hmac-sha256; secret "c2VjcmV0=="; };', "c2VjcmV0", "algorithm hmac-sha256"),
    ("key hub { secret c2VjcmV0==; }", "c2VjcmV0", "key hub"),
    ("key:\n  - id: hub\n    secret: c2VjcmV0==\n    x: y", "c2VjcmV0", "id: hub x: y"),
    ('proxy_set_header Authorization "Basic abc";', "abc", "proxy_set_header Authorization"),
    ("proxy_set_header X-Api-Key abc;\nlisten 80;", "abc", "listen 80;"),
    ('http-request set-header Authorization "Bearer abc" if { path /x }', "abc", "if { path /x }"),
    ("http-request set-header X-Auth-Token ab\\ cd unless x", "ab cd", "unless x"),
    ("user hub insecure-password hunter2 groups g", "hunter2", "user hub groups g"),
    ("stats auth hub:hunter2", "hunter2", "stats auth hub"),
    ("requirepass hunter2\nport 1", "hunter2", "port 1"),
    ("machine h login hub password hunter2\nmachine i", "hunter2", "machine h login hub"),
    ("db.example:5432:hub:app:hunter2:x\n", "hunter2", "db.example:5432:hub:app"),
    ("*:*:*:app:hunter2", "hunter2", "app"),
    ('"hub" "hunter2"\n"other" "hunter3"', "hunter2 hunter3", "hub other"),
    ("SetCredential=pw:hunter2\nUser=hub", "hunter2", "User=hub"),
    ("[client]\npassword = two words here\nuser = hub", "two words here", "user = hub"),
    ("db:\n  password: two words here\n  user: hub", "two words here", "user: hub"),
    ("db:\n  password: |-\n    two words\n    here\n  user: hub", "two words here", "user: hub"),
    ("//r.example/:_authToken=abc1\nx=y", "abc1", "x=y"),
    ("aws_secret_access_key = abc/1\nregion = eu", "abc/1", "region = eu"),
    (f"id {AWS} of eu", AWS, "of eu"),
    ('{"SecretAccessKey":"abc/1","SessionToken":"def"}', "abc/1 def", "SecretAccessKey SessionToken"),
    # JSON, reprs, text in text.
    ('{"password": "a\\"b", "user": "hub"}', "a\\ \\\"b", '"user": "hub"'),
    ('{\\"password\\": \\"hunter2\\", \\"user\\": \\"hub\\"}', "hunter2", "user hub"),
    ("{'password': 'hunter2', 'user': 'hub'}", "hunter2", "'user': 'hub'"),
    ('{"pin_password": 1234, "user": "hub"}', "1234", '"user": "hub"'),
    ('{"Env": ["POSTGRES_PASSWORD=hunter2", "TZ=UTC"]}', "hunter2", "TZ=UTC"),
    ("Model(password='hunter2', user='hub')", "hunter2", "user='hub'"),
    ("config['password'] = 'hunter2' # x", "hunter2", "config # x"),
    # Keys and tokens.
    (f"cert and key:\n{PEM}\nend", f"{KEY} {KEY[::-1]}", "cert end"),
    (f"cut: -----BEGIN RSA PRIVATE KEY-----\n{KEY}", KEY, "cut"),
    (json.dumps({"key": PEM, "n": 1}), KEY, '"n": 1'),
    (f"jwt {JWT} x", JWT.split(".")[2], "jwt x"),
    ("clone https://ghp_0123456789abcdefABCDEF@h/x", "ghp_0123456789abcdefABCDEF", "clone @h/x"),
]

# What looks like a secret and is none.
PLAIN = """\
nothing to hide
password authentication failed for user "hub"
FATAL: no pg_hba.conf entry for host "10.0.0.1", user "hub", no encryption
password_encryption = scram-sha-256
the role has no password: null
{"password": null, "passfile": "/run/x/pgpass", "rows": 5}
passfile=/etc/bowline/pgpass
password_file: /run/secrets/hub
LoadCredential=database_password:/etc/bowline/secrets/database_password
Environment=DATABASE_PASSWORD_FILE=%d/database_password
ALTER ROLE app PASSWORD NULL
Give the option --password-file, or --token-file.
Use --password or --token to log in.
git@github.com:bowline/fleet.git
https://github.com/bowline/fleet/blob/main/README.md#what-it-does
http://127.0.0.1:8080/users/@hub?mail=a@b.example
https://example.org/@hub
postgres://hub@db/hub?sslmode=verify-full
docker.io/library/nginx:1.27@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
sha256:0123456789abcdef0123456789abcdef
md5 0123456789abcdef0123456789abcdef
2026-11-27T10:00:00Z app[12]: answered 200 in 5 ms
mailto:security@example.org, From:a@example.org
deploy@host:/srv/hub
user@1000.service: Succeeded.
proxy_set_header Host $host; proxy_set_header Authorization $http_authorization;
basic authentication is refused; bearer authentication as well
Authorization is missing, a cookie was not set
tokens: 5, max_tokens=7, secrets: []
[ 6/16] C6   Seed … (expected 10 s)
SELECT rolname, rolpassword IS NOT NULL FROM pg_authid
SCRAM-SHA-256 is asked for
the secret of the pair is made once
x::text, y = 'it''s', z = "a ""b"" c"
key: value, keys: 3, primary_key=id, foreign_key = other
chmod 0600 /etc/ssl/private/hub.key
main.c:12:5: error: no such file
fe80::1, ::1, [::1]:5432, 10.0.0.1:5432
PWD=/srv/hub HOME=/root
http-request set-header X-Bowline-Epoch %[var(txn.epoch)] if { path /x }
tests: pass: 5, fail: 0
token: {min: 5}, secret: [], password: {{ vault }}
"""


@pytest.mark.parametrize(("text", "gone", "kept"), FORMS)
def test_a_secret_vanishes_and_the_rest_stays(text, gone, kept):
    said = redact(text)
    assert [word for word in gone.split(" ") if word in said] == [], said
    assert [word for word in kept.split(" ") if word not in said] == [], said
    assert MASK in said
    assert redact(said) == said, "a second look changes nothing"


@pytest.mark.parametrize("text", PLAIN.splitlines())
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_plain_text_stays_as_a_whole():
    assert redact(PLAIN) == PLAIN


LETTERS = "abcXYZ0189!#$%*+-./:<>?@^_~|="
PLACES = {
    "conninfo": "host=h password={} dbname=d",
    "environment": "PGPASSWORD={}\nTZ=UTC",
    "url": "at postgres://hub:{}@db/hub now",
    "no user": "at redis://:{}@db/0 now",
    "option": "tool --password={} --all",
    "statement": "ALTER ROLE x PASSWORD '{}' LOGIN",
    "json": '{{"password": "{}", "n": 1}}',
    "yaml": "a: b\npassword: {}\nc: d",
    "header": "Authorization: Bearer {}\nHost: h",
    "cookie": "Cookie: sid={}\nHost: h",
    "nginx": 'proxy_set_header Authorization "{}";',
}


@pytest.mark.parametrize("place", PLACES)
def test_whatever_the_secret_is_it_vanishes(place):
    """Random secrets; four letters in a row of one that still stand are a leak."""
    dice = random.Random(place)
    for _turn in range(400):
        secret = "w" + "".join(dice.choice(LETTERS) for _letter in range(dice.randint(8, 24))) + "w"
        said = redact(PLACES[place].format(secret))
        left = [secret[at : at + 4] for at in range(len(secret) - 3) if secret[at : at + 4] in said and secret[at : at + 4] not in PLACES[place]]
        assert left == [], (secret, said)


@pytest.mark.parametrize("secret", ["it's \"quoted\"", "a/b@c d", "grün\tx"])
def test_a_known_secret_is_found_however_it_is_written(secret):
    from urllib.parse import quote

    for text in (secret, "'" + secret.replace("'", "''") + "'", json.dumps(secret), json.dumps([secret], ensure_ascii=False), quote(secret, safe="")):
        assert redact(f"a {text} b", [secret]).replace('"', "").replace("'", "").replace("[", "").replace("]", "") == f"a {MASK} b"


def test_under_the_name_of_a_secret_every_text_is_one():
    seen = {"password": "hunter2", "db": {"api-key": "abc", "Authorization": "abc"}, "passwords": 3, "token_file": "/t", "password_old": None}
    assert redact(seen) == {"password": MASK, "db": {"api-key": MASK, "Authorization": MASK}, "passwords": 3, "token_file": "/t", "password_old": None}
    assert redact({"secret": "", "token": False, "pgpassword": "null"}) == {"secret": "", "token": False, "pgpassword": "null"}
    assert redact(["tool", "--token", "abc", "--all"]) == ["tool", "--token", MASK, "--all"]
    assert redact(["tool", "--token-file", "/t"]) == ["tool", "--token-file", "/t"]


HOSTILE = {
    "letters": "a",
    "words": "a ",
    "schemes": "a.",
    "urls": "a://b:c",
    "urls with quotes": "a://b:c'd",
    "names": "password",
    "names and dashes": "--password ",
    "open quotes": "password='",
    "open doubled quotes": "password=''a",
    "open escaped quotes": 'password=\\"a',
    "backslashes": "password=\\",
    "quotes": "'\"",
    "dollars": "PASSWORD $a$",
    "keys": "-----BEGIN PRIVATE KEY-----",
    "blanks": "Cookie:        ",
    "cookies": 'Cookie: a="',
    "headers": "set-header Authorization a ",
    "curl": "curl -u ",
    "lines": "\n",
    "indented": "password: |\n ",
    "pairs": '"a" "b',
    "users": "(a:b",
    "bearer": "Bearer aaaaaaaa",
    "verifiers": "SCRAM-SHA-256$",
    "tokens": "eyJaaaaaaaa.",
    "commas": "password=a,b=c;",
    "hosts": "a:5432:",
    "dashes": "-",
    "options": "--a-",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_work_grows_with_the_text_and_no_faster(kind):
    """Eight times the text takes eight times the work; a quadratic search takes sixty-four times."""

    def work(size: int) -> float:
        text = (HOSTILE[kind] * (size // len(HOSTILE[kind]) + 1))[:size]
        best = float("inf")
        for _turn in range(3):
            began = time.thread_time()
            redact(text)
            best = min(best, time.thread_time() - began)
        return best

    assert work(1 << 13) <= 24 * work(1 << 10) + 0.01, kind


def test_a_field_named_after_a_secret_does_not_hide_what_is_wrong_with_it():
    line = f"{field_words('pg_move_legacy.password')}: /srv/secrets/old is not on this machine"
    assert redact(line) == line
    assert field_words("edge_sides.legacy.host") == "edge_sides.legacy.host"
