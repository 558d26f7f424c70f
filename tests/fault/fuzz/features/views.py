# SPDX-FileCopyrightText: 2026 The bowline contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Views and materialized views, which hold expressions that a dump has to write down again."""

from __future__ import annotations

from ..draw import feature


@feature(2)
def views(d):
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text, b int, c timestamptz)"
    yield f"INSERT INTO {table} SELECT n, 'a' || n % 3, n % 5, timestamptz '2026-01-01' + n * interval '1 day' FROM generate_series(1, 30) n"
    for text in d.some(
        (
            "WITH (security_barrier) AS SELECT id, a FROM {t} WHERE b > 1 WITH CASCADED CHECK OPTION",
            "WITH (security_invoker) AS SELECT * FROM {t}",
            "AS SELECT a, count(*) FILTER (WHERE b > 2) AS n, sum(b) OVER w FROM {t} GROUP BY a, b WINDOW w AS (PARTITION BY a ORDER BY b ROWS 2 PRECEDING)",
            "AS SELECT id, a, b FROM {t} GROUP BY id",
            "AS SELECT t.*, x.* FROM {t} t CROSS JOIN LATERAL (SELECT t.b * 2 AS twice) x",
            "(\"%s\", \"it's\") AS SELECT CASE a WHEN 'a1' THEN 1 ELSE NULL END, NULLIF(a, 'a2') FROM {t}",
            "AS SELECT a IS DISTINCT FROM 'x' AS d, b FROM {t}",
            "AS SELECT DISTINCT ON (a) a, id FROM {t} ORDER BY a, id DESC NULLS LAST LIMIT 3",
            "AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 4) SELECT * FROM r",
            "AS SELECT EXTRACT(year FROM c) AS y, c AT TIME ZONE 'UTC' AS z, interval '1 month 2 days' AS i, date_trunc('day', c) AS d FROM {t}",
            "AS SELECT (SELECT max(b) FROM {t} x WHERE x.a = y.a) AS m, ROW(id, a)::text AS r, ARRAY(SELECT 1) AS arr FROM {t} y",
            "AS SELECT * FROM {t} NATURAL JOIN {t} u",
            "AS SELECT id FROM {t} JOIN {t} u USING (id)",
            "AS VALUES (1, 'x'), (2, E'\\\\')",
            'AS SELECT id, a COLLATE "C" AS a FROM {t} TABLESAMPLE system (100) REPEATABLE (1)',
            "AS SELECT GREATEST(b, 3), COALESCE(a, 'q'), a ~~ 'x%' AS l, a SIMILAR TO 'x_' AS s FROM {t}",
            "AS SELECT 1 AS one WHERE false",
            "AS SELECT x FROM ROWS FROM (generate_series(1, 2), unnest('{a,b}'::text[])) WITH ORDINALITY AS f(x, y, z)",
            "AS SELECT FROM {t}",
            "AS SELECT a FROM {t} UNION (SELECT a FROM {t} EXCEPT ALL SELECT 'q')",
            "AS SELECT OVERLAY(a PLACING 'x' FROM 1), POSITION('a' IN a), TRIM(BOTH 'a' FROM a) FROM {t}",
            "AS SELECT current_user, session_user, current_schema, current_catalog FROM {t}",
            "AS SELECT grouping(a), a, count(*) FROM {t} GROUP BY ROLLUP (a), ()",
            'AS SELECT xmlelement(name x, xmlattributes(a AS "y z")) AS x FROM {t}',
            "AS SELECT b = ANY (ARRAY[1, 2]) AS x, (id, a) IN (SELECT id, a FROM {t}) AS y FROM {t}",
        ),
        3,
    ):
        yield f"CREATE VIEW {d.name('v')} {text.replace('{t}', table)}"


@feature()
def views_that_changed(d):
    """Columns that were renamed, added or retyped below a view."""
    table, view, second = d.name("t"), d.name("v"), d.name("v")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text, b int)"
    yield f"INSERT INTO {table} SELECT n, 'a', n FROM generate_series(1, 9) n"
    yield f"CREATE VIEW {view} AS SELECT * FROM {table} x JOIN (SELECT id AS id2, b AS b2 FROM {table}) y ON x.id = y.id2"
    yield f"CREATE VIEW {second} AS SELECT v FROM {view} v"
    yield f"ALTER TABLE {table} RENAME a TO {d.name('a')}"
    yield f"ALTER TABLE {table} ADD {d.name('z')} int DEFAULT 3"
    if d.chance(0.5):
        yield f"ALTER VIEW {view} RENAME b2 TO {d.name('b')}"
    if d.chance(0.4):
        yield f"ALTER VIEW {view} ALTER id SET DEFAULT 7"


@feature(2)
def materialized_views(d):
    table, first, second = d.name("t"), d.name("m"), d.name("m")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, a text)"
    yield f"INSERT INTO {table} SELECT n, 'a' || n % 4 FROM generate_series(1, 40) n"
    yield f"CREATE MATERIALIZED VIEW {first} AS SELECT a, count(*) AS n FROM {table} GROUP BY a{d.pick(('', ' WITH NO DATA'))}"
    if d.chance(0.6):
        yield f"CREATE UNIQUE INDEX ON {first} (a)"
    yield f"CREATE VIEW {d.name('v')} AS SELECT sum(n) AS n FROM {first}"
    yield f"REFRESH MATERIALIZED VIEW {first}"
    yield f"CREATE MATERIALIZED VIEW {second} AS SELECT n FROM {d.names[-1]}"
    if d.chance(0.4):
        yield f"GRANT SELECT ON {second} TO pg_monitor"
    if d.chance(0.3):
        yield f"REFRESH MATERIALIZED VIEW {second} WITH NO DATA"


@feature()
def materialized_view_with_function(d):
    """Its function finds a table by the search_path of whoever refreshes."""
    table, function = d.name("t"), d.name("f")
    seen = d.pick((table, f"{d.schema}.{table}"))
    yield f"CREATE TABLE {table} (id int PRIMARY KEY)"
    yield f"INSERT INTO {table} SELECT n FROM generate_series(1, 9) n"
    language, body = d.pick((("sql", f"SELECT count(*) FROM {seen}"), ("plpgsql", f"BEGIN RETURN (SELECT count(*) FROM {seen}); END")))
    yield f"CREATE FUNCTION {function}() RETURNS bigint LANGUAGE {language} STABLE AS $$ {body} $$"
    yield f"CREATE MATERIALIZED VIEW {d.name('m')} AS SELECT {function}() AS n"


@feature(0.7)
def materialized_view_that_is_old(d):
    """Rows in it that a refresh would not bring: what it reads was changed since, or it cannot be refreshed any more."""
    table = d.name("t")
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, b int)"
    yield f"INSERT INTO {table} SELECT n, n FROM generate_series(1, 9) n"
    yield f"CREATE MATERIALIZED VIEW {d.name('m')} AS SELECT sum(9 / b) AS n FROM {table}"
    yield f"INSERT INTO {table} VALUES (100, {d.pick((0, 7))})"


@feature(0.7)
def view_around_a_circle(d):
    """A view that reads a function that reads the view; a table whose default calls a function that reads a later table."""
    view, function = d.name("v"), d.name("f")
    yield f"CREATE VIEW {view} AS SELECT 1 AS a"
    yield f"CREATE FUNCTION {function}() RETURNS int LANGUAGE sql STABLE AS $$ SELECT count(*)::int FROM {d.schema}.{view} $$"
    yield f"CREATE VIEW {d.name('v')} AS SELECT {function}() AS n"
    table = d.name("t")
    yield f"CREATE FUNCTION {d.name('g')}(x {view}) RETURNS int LANGUAGE sql AS $$ SELECT $1.a $$"
    yield f"CREATE TABLE {table} (id int PRIMARY KEY, n int DEFAULT {function}(), r {view})"
    yield f"INSERT INTO {table} (id) VALUES (1)"
