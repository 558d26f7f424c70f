# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables with and without keys, partitions, inheritance, names, bulk."""

from __future__ import annotations

from ..draw import feature, ident


@feature(2)
def keyless(d):
    table = d.name("t")
    yield f"CREATE TABLE {table} (a int, b text, c numeric, d float8, e bytea)"
    yield f"INSERT INTO {table} SELECT n, md5(n::text), n / 7.0, n / 3.0, decode(md5(n::text), 'hex') FROM generate_series(1, 40) n"
    yield f"INSERT INTO {table} SELECT 0, 'twin', 1, 1, NULL FROM generate_series(1, 3)"
    yield f"INSERT INTO {table} VALUES (NULL, NULL, NULL, NULL, NULL), (NULL, NULL, 'NaN', 'NaN', '')"
    yield from d.some(
        (
            f"ALTER TABLE {table} ADD UNIQUE NULLS NOT DISTINCT (b, c, a, d)",
            f"CREATE UNIQUE INDEX ON {table} (a) WHERE a > 0",
            f"CREATE UNIQUE INDEX ON {table} (a, lower(b)) WHERE b <> 'twin'",
            f"CREATE INDEX ON {table} (a)",
        ),
        0,
    )[1:]


@feature(1.5)
def odd_keys(d):
    """What looks like a key and is none, and the other way round."""
    for columns, text in d.some(
        (
            ("a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, b int UNIQUE DEFERRABLE", ""),
            ("a int PRIMARY KEY, b text", "REPLICA IDENTITY NOTHING"),
            ("a int PRIMARY KEY, b text", "REPLICA IDENTITY FULL"),
            ("a int PRIMARY KEY, b json", "REPLICA IDENTITY FULL"),
            ("a int NOT NULL UNIQUE, b json", ""),
            ("a int NOT NULL, b int NOT NULL, c text, UNIQUE (b, a) INCLUDE (c)", ""),
            ('a int NOT NULL, b text NOT NULL COLLATE "C", UNIQUE (b)', ""),
            ("a int UNIQUE, b text", ""),
        )
    ):
        table = d.name("t")
        yield f"CREATE TABLE {table} ({columns})"
        yield (
            f"INSERT INTO {table} SELECT n, n::text::{'int' if ' b int' in columns else 'text' if ' b text' in columns else 'json'} FROM generate_series(1,"
            " 20) n"
        )
        if text:
            yield f"ALTER TABLE {table} {text}"
    table, index = d.name("t"), d.name("i")
    yield f"CREATE TABLE {table} (a int NOT NULL, b text)"
    yield f"CREATE UNIQUE INDEX {index} ON {table} (a)"
    yield f"INSERT INTO {table} SELECT n, 'x' FROM generate_series(1, 20) n"
    if d.chance(0.6):
        yield f"ALTER TABLE {table} REPLICA IDENTITY USING INDEX {index}"
        if d.chance(0.3):
            yield f"DROP INDEX {index}"


@feature(0.5)
def json_without_key(d):
    """Nothing finds these rows again, or only an index that is more than its key."""
    columns, text = d.pick((
        ("a int, b json", "REPLICA IDENTITY FULL"), ("a int, b json", "REPLICA IDENTITY NOTHING"), ("a int, b json, UNIQUE (a)", "REPLICA IDENTITY DEFAULT"),
        ("a int NOT NULL, b json, UNIQUE (a) INCLUDE (b)", "REPLICA IDENTITY DEFAULT"), ("a int, b xml", "REPLICA IDENTITY DEFAULT"),
    ))
    yield f"CREATE TABLE {d.name('t')} ({columns})"
    yield f"INSERT INTO {d.last} SELECT n, '7' FROM generate_series(1, 9) n"
    yield f"ALTER TABLE {d.last} {text}"


@feature(1.5)
def strange_tables(d):
    for texts in d.some(
        (
            ("CREATE TABLE {t} ()", "INSERT INTO {t} DEFAULT VALUES", "INSERT INTO {t} DEFAULT VALUES"),
            ("CREATE TABLE {t} (a int GENERATED ALWAYS AS (1) STORED)", "INSERT INTO {t} DEFAULT VALUES"),
            (
                "CREATE TABLE {t} (a int, gone text, b int PRIMARY KEY, gone_too int, c text)",
                "INSERT INTO {t} SELECT n, 'x', n, n, 'c' FROM generate_series(1, 9) n",
                "ALTER TABLE {t} DROP gone, DROP gone_too, ADD d int DEFAULT 7, ADD e text DEFAULT clock_timestamp()",
            ),
            ("CREATE TABLE {t} (gone int)", "INSERT INTO {t} VALUES (1)", "ALTER TABLE {t} DROP gone"),
            (
                "CREATE TABLE {t} (" + ", ".join(f"c{number} int" for number in range(1, 400)) + ", PRIMARY KEY (c1))",
                "INSERT INTO {t} SELECT n, n FROM generate_series(1, 9) n",
            ),
            (
                "CREATE TABLE {t} (id int PRIMARY KEY) WITH (fillfactor = 40, autovacuum_enabled = off, toast.autovacuum_enabled = off)",
                "INSERT INTO {t} VALUES (1)",
            ),
            ("CREATE TABLE {t} (id int PRIMARY KEY, tableoid_ oid, ctid_ tid)", "INSERT INTO {t} VALUES (1, 2, '(0,1)')"),
            (
                "CREATE TABLE {t} (pgcut_row int PRIMARY KEY, key text, hash text, bucket int, rows int, sum int)",
                "INSERT INTO {t} SELECT n, 'k' FROM generate_series(1, 9) n",
            ),
        )
    ):
        table = d.name("t")
        for text in texts:
            yield text.replace("{t}", table)


@feature()
def names(d):
    """A table of each name that somebody ever thought of, with columns of such names."""
    for _number in range(8):
        table = d.name("t", odd=1)
        columns = [ident(name) for name in d.random.sample(["from", "Ä ö", 'q"q', "per%cent", "dot.ted", " ", "ctid_", "1", "$1", "new", "old", "x" * 63], 3)]
        yield f"CREATE TABLE {table} ({columns[0]} int PRIMARY KEY, {columns[1]} text UNIQUE, {columns[2]} serial)"
        yield f"INSERT INTO {table} SELECT n, 'v' || n FROM generate_series(1, 5) n"


@feature(0.7)
def bulk(d):
    """Values out of line, and a value of some megabytes."""
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int{d.pick(('', ' PRIMARY KEY'))}, plain text, packed text, outside bytea, touched int DEFAULT 0)"
    yield f"ALTER TABLE {table} ALTER outside SET STORAGE EXTERNAL, ALTER packed SET COMPRESSION {d.pick(('pglz', 'lz4'))}"
    yield (
        f"INSERT INTO {table} SELECT n, (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 400) m), repeat('compress me ', 3000),"
        " decode(repeat(md5(n::text), 2000), 'hex') FROM generate_series(1, 10) n"
    )
    if d.chance(0.3):
        yield f"INSERT INTO {table} VALUES (1000, repeat('ü', {d.random.randint(1, 8)} * 1000000))"


@feature(2)
def partitions_by_range(d):
    table = d.name("events")
    key = d.pick(("", ", PRIMARY KEY (at, id, kind)", ", UNIQUE (kind, id, at)"))
    yield f"CREATE TABLE {table} (at date NOT NULL, kind text NOT NULL, id bigint NOT NULL, note text{key}) PARTITION BY RANGE (at)"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES FROM (MINVALUE) TO ('2025-01-01')"
    middle = d.name("part")
    yield f"CREATE TABLE {middle} PARTITION OF {table} FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (kind)"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {middle} FOR VALUES IN ('a', 'ä', 'it''s')"
    if d.chance(0.6):
        yield f"CREATE TABLE {d.name('part')} PARTITION OF {middle} (note DEFAULT 'here', CONSTRAINT short CHECK (length(note) < 999)) DEFAULT"
    else:
        yield f"CREATE TABLE {d.name('part')} PARTITION OF {middle} FOR VALUES IN ('b', NULL)"
    later = d.name("part")
    yield f"CREATE TABLE {later} (note text, gone int, id bigint NOT NULL, kind text NOT NULL, at date NOT NULL)"
    yield f"ALTER TABLE {later} DROP gone"
    yield f"INSERT INTO {later} SELECT n::text, n, 'a', date '2026-03-01' + n FROM generate_series(1, 20) n"
    yield f"ALTER TABLE {table} ATTACH PARTITION {later} FOR VALUES FROM ('2026-01-01') TO (MAXVALUE)"
    yield f"INSERT INTO {table} SELECT date '2024-06-01' + n * 5, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, n, 'n' FROM generate_series(1, 100) n"
    if d.chance(0.5):
        yield f"CREATE INDEX ON {table} (note)"
    if d.chance(0.3):
        yield f"ALTER TABLE {table} DETACH PARTITION {later}"


@feature()
def partitions_by_hash(d):
    table = d.name("t")
    kind = d.pick(("int", "text", "uuid", "numeric"))
    value = {"int": "n", "text": "n::text", "uuid": "md5(n::text)::uuid", "numeric": "n"}[kind]
    yield f"CREATE TABLE {table} (id {kind}{d.pick(('', ' PRIMARY KEY'))}, note text) PARTITION BY HASH (id)"
    for remainder in range(3):
        yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES WITH (MODULUS 3, REMAINDER {remainder})"
    yield f"INSERT INTO {table} SELECT {value}, 'h' || n FROM generate_series(1, 60) n"


@feature()
def partitions_by_enum_hash(d):
    """The hash of an enum is that of its OID, which is another one on new: rows belong to other partitions there."""
    kind, table = d.name("kind"), d.name("t")
    yield f"CREATE TYPE {kind} AS ENUM ('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')"
    yield f"CREATE TABLE {table} (k {kind} NOT NULL, id int, PRIMARY KEY (k, id)) PARTITION BY HASH (k)"
    for remainder in range(4):
        yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES WITH (MODULUS 4, REMAINDER {remainder})"
    yield f"INSERT INTO {table} SELECT (enum_range(NULL::{kind}))[1 + n % 8], n FROM generate_series(1, 60) n"


@feature()
def partitions_by_expression(d):
    table, function = d.name("t"), d.name("bucket")
    yield f"CREATE FUNCTION {function}(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 % 3; END'"
    yield f"CREATE TABLE {table} (id int NOT NULL, note text) PARTITION BY LIST ({function}(id))"
    for value in range(3):
        yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES IN ({value})"
    yield f"INSERT INTO {table} SELECT n, 'e' || n FROM generate_series(1, 40) n"


@feature()
def partitions_by_text(d):
    """Bounds whose order is that of a collation."""
    collation = d.pick(('"C"', '"default"', '"POSIX"'))
    table = d.name("t")
    yield f"CREATE TABLE {table} (name text COLLATE {collation} NOT NULL, id int) PARTITION BY RANGE (name)"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES FROM (MINVALUE) TO ('m')"
    yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES FROM ('m') TO (MAXVALUE)"
    yield f"INSERT INTO {table} SELECT chr(97 + n % 26) || 'ärm' || n, n FROM generate_series(1, 60) n"


@feature()
def partitions_of_all_sorts(d):
    """Without partitions, with one that is empty, unlogged, in another schema, or of another owner."""
    table = d.name("t")
    yield f"CREATE TABLE {table} (a int, b bool, c timestamptz) PARTITION BY RANGE (a, b, c)"
    if d.chance(0.7):
        yield f"CREATE TABLE {d.name('part')} PARTITION OF {table} FOR VALUES FROM (0, MINVALUE, MINVALUE) TO (10, false, 'infinity')"
        yield (
            f"CREATE {d.pick(('', 'UNLOGGED '))}TABLE {d.name('part')} PARTITION OF {table} FOR VALUES FROM (10, true, '2020-01-01 00:00+05') TO (MAXVALUE,"
            " MAXVALUE, MAXVALUE)"
        )
        yield f"INSERT INTO {table} VALUES (1, true, now()), (11, false, now())"
    if d.chance(0.5):
        yield "RESET ROLE"
        yield "CREATE TABLE public.part_elsewhere (a int, b bool, c timestamptz)"
        yield f"ALTER TABLE {table} ATTACH PARTITION public.part_elsewhere DEFAULT"


@feature(1.5)
def inheritance(d):
    parent, child = d.name("parent"), d.name("child")
    yield (
        f"CREATE TABLE {parent} (id int{d.pick(('', ' PRIMARY KEY'))}, note text DEFAULT 'p', CHECK (id > 0), CONSTRAINT only_here CHECK (id < 1000) NO"
        " INHERIT)"
    )
    yield f"CREATE TABLE {child} (extra int{d.pick(('', ', PRIMARY KEY (id)'))}) INHERITS ({parent})"
    yield f"ALTER TABLE {child} ALTER note SET DEFAULT 'c'"
    other = d.name("other")
    yield f"CREATE TABLE {other} (note text, more jsonb)"
    yield f"CREATE TABLE {d.name('grandchild')} () INHERITS ({child}, {other})"
    yield f"INSERT INTO {d.last} SELECT n, 'g', n, '{{}}' FROM generate_series(1, 10) n"
    yield f"INSERT INTO {parent} SELECT n, 'p' FROM generate_series(1, 10) n"
    yield f"INSERT INTO {child} SELECT n, 'c', n FROM generate_series(1, 10) n"
    if d.chance(0.4):
        yield f"ALTER TABLE {child} NO INHERIT {parent}"


@feature(0.7)
def typed_tables(d):
    kind, table = d.name("person"), d.name("t")
    yield f"CREATE TYPE {kind} AS (id int, name text)"
    yield f"CREATE TABLE {table} OF {kind} (PRIMARY KEY (id), name WITH OPTIONS DEFAULT 'n')"
    yield f"INSERT INTO {table} SELECT n FROM generate_series(1, 10) n"


@feature()
def unlogged(d):
    table = d.name("t")
    yield (
        f"CREATE UNLOGGED TABLE {table} (id int GENERATED ALWAYS AS IDENTITY, note text, twice text GENERATED ALWAYS AS (note || note)"
        f" STORED{d.pick(('', ', PRIMARY KEY (id)'))})"
    )
    yield f"INSERT INTO {table} (note) SELECT 's' || n FROM generate_series(1, 30) n"
    yield f"CREATE UNLOGGED TABLE {d.name('t')} (j json, n int)"
    yield f"INSERT INTO {d.last} SELECT '{{\"a\" :1}}', n FROM generate_series(1, 10) n"
    if d.chance(0.4):
        yield f"CREATE UNLOGGED TABLE {d.name('parent')} (id int, note text)"
        parent = d.last
        yield f"CREATE UNLOGGED TABLE {d.name('child')} () INHERITS ({parent})"
        yield f"INSERT INTO {d.last} VALUES (1, 'c')"
        yield f"INSERT INTO {parent} VALUES (1, 'p')"


@feature(0.7)
def large_objects(d):
    base = d.random.randint(20000, 400000) * 10
    yield f"SELECT lo_from_bytea({base}, '\\xdeadbeef'), lo_create({base + 1}), lo_from_bytea({base + 2}, decode(repeat('00ff', 20000), 'hex'))"
    yield f"SELECT lo_create({base + 3}), lo_put({base + 3}, 10300, 'tail')"
    yield from d.some(
        (
            f"GRANT SELECT ON LARGE OBJECT {base} TO PUBLIC",
            f"REVOKE ALL ON LARGE OBJECT {base + 1} FROM CURRENT_USER",
            f"GRANT SELECT, UPDATE ON LARGE OBJECT {base + 2} TO pg_monitor WITH GRANT OPTION",
            f"COMMENT ON LARGE OBJECT {base + 3} IS 'it''s one'",
        )
    )
    yield f"CREATE TABLE {d.name('files')} (id int PRIMARY KEY, file oid)"
    yield f"INSERT INTO {d.last} SELECT n, {base} + n FROM generate_series(0, 3) n"
