# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types of columns, with values at the ends of their ranges."""

from __future__ import annotations

from ..draw import Draw, feature, literal

_OWN = "current_setting('server_encoding')"
# Type, and values that are not like the others. Written with a key, since some of them have no equality.
_FAMILIES: dict[str, tuple[str, ...]] = {
    "smallint": ("-32768", "32767", "0"),
    "integer": ("-2147483648", "2147483647"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "numeric": ("'NaN'", "'Infinity'", "'-Infinity'", "1e1000", "1.10", "0.000000000000000000000000000001"),
    "numeric(7,3)": ("1.1", "-9999.999"),
    "numeric(3,-2)": ("12345",),
    "real": ("'NaN'", "'-Infinity'", "1.1754942e-38", "16777217"),
    "double precision": ("'NaN'", "'Infinity'", "'-0'", "4.9406564584124654e-324", "0.1"),
    "money": ("'-92233720368547758.08'", "'1.50'"),
    # A line separator with an emoji, and a combining accent, as bytes: a database that knows no encoding takes no escapes of code points.
    "text": ("''", "E'\\x01\\x7f\\t\\n\\r\\\\ \\\\N'", f"convert_from('\\xe280a820f09f9880', {_OWN})",
             "E'\\\\.\\n'", f"'Ä é' || convert_from('\\xcc81', {_OWN})"),
    "character varying(10)": ("'  trailing '", "'üüüüüüüüüü'"),
    "character(7)": ("'pad'", "''"),
    "name": ("'n'", "repeat('x', 63)"),
    '"char"': ("'a'", "E'\\\\200'", "''"),
    "bytea": ("''", "'\\x00ff5c2e0a'", "decode(repeat('00', 5000), 'hex')"),
    "boolean": ("true", "false"),
    "date": ("'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'"),
    "time(3)": ("'24:00:00'", "'00:00:00.0005'"),
    "time with time zone": ("'24:00:00-15:59'", "'00:00:00+15:59'"),
    "timestamp": ("'infinity'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'"),
    "timestamp with time zone": ("'-infinity'", "'2026-03-29 02:30:00 Europe/Berlin'", "'0001-01-01 BC'"),
    "interval": ("'-178000000 years'", "'1 mon -1 days +00:00:00.000001'", "'0'"),
    "interval day to second(2)": ("'3 04:05:06.789'",),
    "inet": ("'::1/64'", "'0.0.0.0/0'", "'10.1.2.3'"),
    "cidr": ("'10/8'", "'::/0'"),
    "macaddr": ("'08:00:2b:01:02:03'",),
    "macaddr8": ("'08:00:2b:01:02:03:04:05'",),
    "bit(5)": ("B'10101'",),
    "bit varying": ("B''", "B'1'"),
    "uuid": ("'00000000-0000-0000-0000-000000000000'", "gen_random_uuid()"),
    "json": ('\'{"dup":1, "dup":2,   "ü": "\\u00fc"}\'', "'null'", "'[1e400]'"),
    "jsonb": ('\'{"a": [1, null, 1e400], "": {}}\'', "'\"\"'"),
    "jsonpath": ("'$.a[*] ? (@ > 1)'", "'strict $.\"ü\"'"),
    "xml": ("'<a b=\"c\">&amp;<![CDATA[x]]></a>'", "'text'"),
    "tsvector": ("'''a b'':1A,2 c'", "''"),
    "tsquery": ("'''a'' & !b:*C <2> d'", "''"),
    "point": ("'(1e-300,-0)'", "'(NaN,Infinity)'"),
    "line": ("'{1,-1,0}'",),
    "lseg": ("'[(0,0),(1,1)]'",),
    "box": ("'(1,1),(0,0)'",),
    "path": ("'[(0,0),(1,1)]'", "'((0,0),(1,1))'"),
    "polygon": ("'((0,0),(1e-300,1e300),(2,2))'",),
    "circle": ("'<(0,0),1>'",),
    "oid": ("4294967295", "0"),
    "xid8": ("'18446744073709551615'",),
    "xid": ("'3'",),
    "cid": ("'3'",),
    "tid": ("'(1,2)'",),
    "pg_lsn": ("'FFFFFFFF/FFFFFFFF'",),
    "pg_snapshot": ("'10:20:10,14'",),
    "oidvector": ("'1 2 3'",),
    "int2vector": ("'1 2 3'",),
    "int4range": ("'empty'", "'[1,5)'", "'(,)'"),
    "numrange": ("'[1.0,2.00]'", "'(NaN,)'"),
    "tstzrange": ("'[-infinity,2024-01-01 00:00:00.000001+02)'",),
    "daterange": ("'[2024-01-01,infinity]'",),
    "int8multirange": ("'{}'", "'{[1,2),(3,)}'"),
    "tsmultirange": ("'{(,2024-01-01),[2025-01-01,]}'",),
    "refcursor": ("'c'",),
    "aclitem": ("'postgres=arw/postgres'",),
    "regtype": ("'integer'", "'xml'"),
    "regrole": ("'postgres'",),
}


def _filled(d: Draw, key: str, families: list[str]) -> list[str]:
    """A table with a column and an array of each family, and a row for each value."""
    table = d.name("t")
    columns = {family: (d.name("c", 0.1), d.name("a", 0.1)) for family in families}
    shown = ", ".join(f"{one} {family}, {many} {family}[]" for family, (one, many) in columns.items())
    texts = [f"CREATE TABLE {table} (id int{key}, {shown})"]
    for number in range(max(len(_FAMILIES[family]) for family in families)):
        values = []
        for family in families:
            some = _FAMILIES[family]
            value = some[number % len(some)]
            value = f"({value})::{family}"
            values += [value, d.pick(("NULL", "'{}'", f"ARRAY[{value}, NULL]", f"ARRAY[[{value}]]"))]
        texts.append(f"INSERT INTO {table} SELECT {number}, {', '.join(values)}")
    return texts


@feature(2)
def types_keyed(d):
    yield from _filled(d, " PRIMARY KEY", d.some(tuple(_FAMILIES), 8))


@feature(0.5)
def types_all(d):
    yield from _filled(d, " PRIMARY KEY", list(_FAMILIES))


@feature(2)
def types_keyless(d):
    """Whole rows are the identity, so a type without equality has to be found before."""
    yield from _filled(d, "", d.random.sample(sorted(_FAMILIES), 2))


@feature()
def types_as_key(d):
    """A key of each type that has an order, or of an array of it."""
    for family in (
        "bytea",
        "interval",
        "inet",
        "timestamp with time zone",
        "numeric",
        "double precision",
        "jsonb",
        "uuid",
        "tsvector",
        "int4range",
        "bit varying",
        "character(7)",
        "time with time zone",
        "money",
        "int8multirange",
        "pg_lsn",
    ):
        if d.chance(0.4):
            table, suffix = d.name("t"), d.pick(("", "[]"))
            rows = ", ".join(f"({f'ARRAY[({value})::{family}]' if suffix else value}, 'note')" for value in _FAMILIES[family])
            yield f"CREATE TABLE {table} (k {family}{suffix} PRIMARY KEY, note text)"
            yield f"INSERT INTO {table} VALUES {rows}"


@feature(2)
def enums(d):
    kind = d.name("mood")
    yield f"CREATE TYPE {kind} AS ENUM ('calm', 'busy', 'müde', 'it''s \"odd\"', '', 'a,b')"
    if d.chance(0.6):
        yield f"ALTER TYPE {kind} ADD VALUE 'awake' BEFORE 'busy'"
    if d.chance(0.5):
        yield f"ALTER TYPE {kind} RENAME VALUE 'busy' TO 'BUSY'"
    table = d.name("t")
    yield f"CREATE TABLE {table} (state {kind} DEFAULT 'müde', states {kind}[] DEFAULT '{{\"\",calm}}', n int{d.pick(('', ' PRIMARY KEY'))})"
    yield f"INSERT INTO {table} SELECT (enum_range(NULL::{kind}))[1 + n % 5], enum_range(NULL::{kind}), n FROM generate_series(1, 20) n"
    if d.chance(0.5):
        yield f"CREATE UNIQUE INDEX ON {table} (state, n) WHERE state > 'calm'"


@feature(2)
def domains(d):
    one, two = d.name("dom"), d.name("dom")
    check = d.pick(("VALUE BETWEEN 0 AND 100", "VALUE::text ~ '^[0-9.]+$'", "VALUE IS NULL OR VALUE > -1"))
    yield f"CREATE DOMAIN {one} AS numeric(5, 2) DEFAULT 7 CONSTRAINT {d.name('in_range')} CHECK ({check})"
    yield f"CREATE DOMAIN {two} AS {one}{d.pick(('', ' NOT NULL'))} DEFAULT 8"
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a {one}, b {two} NOT NULL DEFAULT 3, c {one}[])"
    yield f"INSERT INTO {table} SELECT n, n, n, ARRAY[n, NULL] FROM generate_series(1, 30) n"
    if d.chance(0.5):
        yield f"ALTER DOMAIN {one} ADD CONSTRAINT later CHECK (VALUE <> 5) NOT VALID"
    if d.chance(0.3):
        yield f"COMMENT ON DOMAIN {one} IS 'of a hundred'"


@feature()
def domain_with_function(d):
    """The check of a domain calls a function, which looks into a table."""
    table, function, domain = d.name("allowed"), d.name("is_allowed"), d.name("dom")
    where = d.pick((table, f"{d.schema}.{table}"))
    yield f"CREATE TABLE {table} (code text PRIMARY KEY)"
    yield f"INSERT INTO {table} VALUES ('a'), ('b')"
    yield f"CREATE FUNCTION {function}(text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT EXISTS (SELECT FROM {where} WHERE code = $1) $$"
    yield f"CREATE DOMAIN {domain} AS text CHECK ({function}(VALUE))"
    yield f"CREATE TABLE {d.name('t')} (id int PRIMARY KEY, code {domain})"
    yield f"INSERT INTO {d.last} VALUES (1, 'a'), (2, 'b')"


@feature(1.5)
def composites(d):
    point, line, table = d.name("point"), d.name("line"), d.name("t")
    yield f'CREATE TYPE {point} AS (x float8, y float8, "Höhe ü. M." numeric)'
    yield f'CREATE TYPE {line} AS (a {point}, b {point}[], label text COLLATE "C")'
    if d.chance(0.5):
        yield f"ALTER TYPE {point} DROP ATTRIBUTE y, ADD ATTRIBUTE z numeric"
    yield f"CREATE TABLE {table} (id int{d.pick(('', ' PRIMARY KEY'))}, p {point}, ps {point}[], l {line})"
    yield (
        f"INSERT INTO {table} VALUES (1, ROW(1, 2, 3), ARRAY[ROW(1, NULL, 3)::{point}, NULL], ROW(ROW(1, 2, 3), NULL, 'a,\"b\"\\c')),"
        " (2, NULL, '{}', ROW(NULL, NULL, NULL))"
    )
    if d.chance(0.5):
        yield f"CREATE TABLE {d.name('rows')} (id int PRIMARY KEY, other {table}, many {table}[])"
        yield f"INSERT INTO {d.last} SELECT 1, t, ARRAY[t] FROM {table} t LIMIT 1"


@feature()
def ranges(d):
    kind, many, table = d.name("floatrange"), d.name("floats"), d.name("t")
    yield f"CREATE TYPE {kind} AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = {many})"
    words = d.name("words")
    yield f'CREATE TYPE {words} AS RANGE (subtype = text, collation = "C")'
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, r {kind}, m {many}, w {words})"
    yield f"INSERT INTO {table} VALUES (1, '(-infinity,NaN]', '{{[1,2),(3,4]}}', '[A,z)'), (2, 'empty', '{{}}', '(,)')"
    if d.chance(0.5):
        yield f"CREATE INDEX ON {table} USING gist (r)"


@feature(0.7)
def base_types(d):
    """A type of one's own by functions of the server; only a superuser makes one."""
    yield "RESET ROLE"
    kind = f"{d.schema}.{d.name('code')}"
    yield f"CREATE TYPE {kind}"
    yield f"CREATE FUNCTION {d.schema}.code_in(cstring) RETURNS {kind} LANGUAGE internal IMMUTABLE STRICT AS 'textin'"
    yield f"CREATE FUNCTION {d.schema}.code_out({kind}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout'"
    yield f"CREATE TYPE {kind} (INPUT = {d.schema}.code_in, OUTPUT = {d.schema}.code_out, LIKE = text, CATEGORY = 'S', COLLATABLE = true)"
    if d.chance(0.5):
        yield f"CREATE CAST ({kind} AS text) WITHOUT FUNCTION AS IMPLICIT"
    yield f"CREATE TABLE {d.schema}.{d.name('t')} (id int{d.pick(('', ' PRIMARY KEY'))}, c {kind})"
    yield f"INSERT INTO {d.schema}.{d.last} VALUES (1, 'x'), (2, '')"


@feature(1.5)
def generated(d):
    table, function = d.name("t"), d.name("brutto")
    yield f"CREATE FUNCTION {function}(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 1.19'"
    columns = d.some(
        (
            "net numeric GENERATED ALWAYS AS (amount / 1.19) STORED",
            "words tsvector GENERATED ALWAYS AS (to_tsvector('german', 'Betrag ' || amount)) STORED",
            f"gross numeric GENERATED ALWAYS AS ({function}(amount)) STORED",
            "shown text GENERATED ALWAYS AS (CASE WHEN amount IS DISTINCT FROM 3 THEN 'x' END) STORED",
        )
    )
    yield f"CREATE TABLE {table} (amount numeric, {', '.join(columns)}, id int{d.pick(('', ' PRIMARY KEY', ' UNIQUE'))})"
    yield f"INSERT INTO {table} (id, amount) SELECT n, n * 3.3 FROM generate_series(1, 30) n"


@feature(2)
def defaults(d):
    """Functions without schema in defaults, and values that depend on who asks."""
    function, sequence, table = d.name("next_code"), d.name("seq"), d.name("t")
    yield f"CREATE SEQUENCE {sequence} START {d.random.randint(1, 5000)} INCREMENT {d.pick((1, 7, -3))} MINVALUE -10000 MAXVALUE 100000"
    if d.chance(0.5):
        yield f"CREATE FUNCTION {function}() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'c' || nextval({literal(sequence)}::regclass); END $$"
    else:
        yield f"CREATE FUNCTION {function}() RETURNS text LANGUAGE sql AS $$ SELECT 'c' || nextval({literal(sequence)}) $$"
    yield (
        f"CREATE TABLE {table} (id int PRIMARY KEY DEFAULT nextval({literal(sequence)}), code text DEFAULT {function}(), who name DEFAULT current_user,"
        " at timestamptz DEFAULT now(), tz text DEFAULT current_setting('TimeZone'), day date DEFAULT 'today', r regclass DEFAULT 'pg_class',"
        " uid uuid DEFAULT gen_random_uuid(), a int[] DEFAULT '{1,NULL}', x text DEFAULT E'it''s \\\\ \"q\" % ; --')"
    )
    yield f"INSERT INTO {table} DEFAULT VALUES"
    yield f"INSERT INTO {table} DEFAULT VALUES"


@feature(1.5)
def sequences(d):
    for options in d.some(
        (
            "INCREMENT -3 START -1",
            "MINVALUE -5 START 5 MAXVALUE 6 CYCLE CACHE 20",
            "AS smallint START 100",
            "INCREMENT 1000000007",
            "MINVALUE -9223372036854775808 START -9223372036854775808",
            "START 9223372036854775806 CYCLE",
        )
    ):
        yield f"CREATE {d.pick(('', '', 'UNLOGGED '))}SEQUENCE {d.name('seq')} {options}"
        for _call in range(d.random.randint(0, 3)):
            yield f"SELECT nextval({literal(d.last)}::regclass)"
    table = d.name("t")
    yield f"CREATE TABLE {table} (a smallserial PRIMARY KEY, b bigserial, n int, c int GENERATED BY DEFAULT AS IDENTITY (MINVALUE -50 START -50 INCREMENT 5))"
    yield f"INSERT INTO {table} (n) SELECT n FROM generate_series(1, 20) n"
    if d.chance(0.4):
        yield f"ALTER TABLE {table} ALTER b TYPE int"
    if d.chance(0.4):
        yield f"CREATE SEQUENCE {d.name('owned')} OWNED BY {table}.n"


@feature()
def identities(d):
    table = d.name("t", odd=0)
    yield f"CREATE TABLE {table} (id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 10) PRIMARY KEY, note text, at int)"
    yield f"INSERT INTO {table} (note) SELECT 'n' || n FROM generate_series(1, 30) n"
    if d.chance(0.5):
        yield f"ALTER TABLE {table} ALTER id SET GENERATED BY DEFAULT"
    if d.chance(0.4):
        yield f"ALTER TABLE {table} ALTER id SET CACHE 50"
    if d.chance(0.4):
        yield f"ALTER SEQUENCE {table[:-1]}_id_seq\" RENAME TO {d.name('renamed')}"
