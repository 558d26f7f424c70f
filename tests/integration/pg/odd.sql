-- SPDX-FileCopyrightText: 2026 The bowline contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Everything in a database that a move tends to break, in one schema file. Run it as superuser in an empty database; it makes its own roles
-- and is one transaction with whatever the caller puts around it. No psql variables, so that any client can send it.
-- SET odd.rows = '5000' beforehand chooses the size: the bulk tables have that many rows, about 1.3 kB of disk for each with indexes.
-- What a move refuses is not in here; tests plant it one at a time.

DO $$
BEGIN
  IF coalesce(current_setting('odd.rows', true), '') = '' THEN PERFORM set_config('odd.rows', '200', false); END IF;
  -- Roles belong to the server, so they may be there from an earlier run.
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'odd_owner') THEN
    CREATE ROLE odd_owner LOGIN PASSWORD 'canary-odd-4f1' VALID UNTIL 'infinity' CONNECTION LIMIT 40;
    CREATE ROLE "Ünlauter ""Gast""" NOINHERIT;
    CREATE ROLE odd_reader;
    CREATE ROLE odd_definer BYPASSRLS VALID UNTIL '2044-02-29 12:00+00';
    GRANT odd_reader TO "Ünlauter ""Gast""" WITH ADMIN OPTION;
    GRANT pg_monitor TO odd_reader;
    ALTER ROLE odd_owner SET search_path = odd, "Größe & Maß", public;
    ALTER ROLE odd_reader SET work_mem = '5MB';
  END IF;
END $$;

CREATE SCHEMA odd AUTHORIZATION odd_owner;
CREATE SCHEMA "Größe & Maß" AUTHORIZATION odd_owner;
CREATE SCHEMA counters AUTHORIZATION odd_owner;
CREATE SCHEMA ext;
GRANT USAGE ON SCHEMA odd, ext TO PUBLIC;
-- Extensions: types with operators (citext, hstore), index classes (pg_trgm, btree_gist), a configuration table that is moved with its rows
-- (none of contrib has one that is plain, so `lo` stands for a domain with a function), procedures only (pgcrypto).
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION hstore SCHEMA ext;
CREATE EXTENSION pg_trgm SCHEMA ext;
CREATE EXTENSION btree_gist SCHEMA ext;
CREATE EXTENSION lo SCHEMA ext;
COMMENT ON EXTENSION hstore IS 'used for labels';

ALTER DEFAULT PRIVILEGES FOR ROLE odd_owner IN SCHEMA odd GRANT SELECT ON TABLES TO odd_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE odd_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

SET LOCAL search_path = odd, ext;
SET LOCAL ROLE odd_owner;

-- --- types --------------------------------------------------------------------------------------------------------------------------
CREATE TYPE mood AS ENUM ('calm', 'busy', 'müde', 'it''s "odd"', '');
ALTER TYPE mood ADD VALUE 'awake' BEFORE 'busy';
CREATE DOMAIN percent AS numeric(5, 2) DEFAULT 0 CONSTRAINT in_range CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN strict_percent AS percent NOT NULL;
CREATE TYPE point3 AS (x float8, y float8, "Höhe ü. M." numeric);
CREATE TYPE line3 AS (a point3, b point3[], label text);
CREATE TYPE floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
COMMENT ON TYPE mood IS 'how a ledger feels';

-- --- keys and what stands in for them -------------------------------------------------------------------------------------------------
CREATE TABLE small_serial (id smallserial PRIMARY KEY, note text);
INSERT INTO small_serial (note) SELECT 'row ' || n FROM generate_series(1, 50) n;
SELECT setval('small_serial_id_seq', 31000);
INSERT INTO small_serial (note) VALUES ('near the limit of 32767');
CREATE TABLE keyless (a int, b text, c numeric, d float8, e bytea);
INSERT INTO keyless SELECT n, md5(n::text), n / 7.0, n / 3.0, decode(md5(n::text), 'hex') FROM generate_series(1, 200) n;
-- Equal rows: an update of one of them must change one of them.
INSERT INTO keyless SELECT 0, 'twin', 1, 1, NULL FROM generate_series(1, 3);
INSERT INTO keyless VALUES (NULL, NULL, NULL, NULL, NULL), (NULL, NULL, 'NaN', 'NaN', '');
CREATE TABLE keyless_unique (a int NOT NULL, b text, j json);
CREATE UNIQUE INDEX "keyless unique (a)" ON keyless_unique (a);
INSERT INTO keyless_unique SELECT n, md5(n::text), json_build_object('n', n) FROM generate_series(1, 200) n;
-- A unique constraint over a nullable column, a partial and an expression index are no identities: whole rows are.
CREATE TABLE keyless_nullable (a int UNIQUE, b text);
CREATE UNIQUE INDEX ON keyless_nullable (b) WHERE a > 10;
CREATE UNIQUE INDEX ON keyless_nullable (lower(b));
INSERT INTO keyless_nullable SELECT nullif(n, 7), 'b' || n FROM generate_series(1, 100) n;
CREATE TABLE deferred_key (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, b int UNIQUE DEFERRABLE INITIALLY IMMEDIATE);
INSERT INTO deferred_key SELECT n, n FROM generate_series(1, 50) n;
CREATE TABLE identity_nothing (a int PRIMARY KEY, b text);
ALTER TABLE identity_nothing REPLICA IDENTITY NOTHING;
INSERT INTO identity_nothing SELECT n, 'n' || n FROM generate_series(1, 20) n;
CREATE TABLE identity_full (a int PRIMARY KEY, j json);
ALTER TABLE identity_full REPLICA IDENTITY FULL;
INSERT INTO identity_full SELECT n, '{"b" : 1,  "a":[1 ,2]}' FROM generate_series(1, 20) n;
CREATE TABLE json_keyed (id int PRIMARY KEY, doc json, docb jsonb, x xml, p point);
INSERT INTO json_keyed SELECT n, '{"dup":1, "dup":2,   "ü": "\u00fc"}', '{"a": [1, null, 1e400]}', '<a b="c">&amp;</a>', point(n, -0.0)
  FROM generate_series(1, 20) n;
CREATE TABLE wide_key (a text COLLATE "C", b date, c uuid, d mood, e int[], PRIMARY KEY (c, a, e, d, b));
INSERT INTO wide_key SELECT 'k' || n, date '2000-01-01' + n, md5(n::text)::uuid, 'müde', ARRAY[n, NULL, 3] FROM generate_series(1, 60) n;

-- --- columns ------------------------------------------------------------------------------------------------------------------------
CREATE TABLE identities (id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 10) PRIMARY KEY,
  other int GENERATED BY DEFAULT AS IDENTITY (MINVALUE -50 START -50), down int DEFAULT 0, note text);
CREATE SEQUENCE backwards INCREMENT -3 START -1 OWNED BY identities.down;
ALTER TABLE identities ALTER down SET DEFAULT nextval('odd.backwards');
INSERT INTO identities (note) SELECT 'n' || n FROM generate_series(1, 40) n;
CREATE TABLE generated (id int PRIMARY KEY, amount numeric, net numeric GENERATED ALWAYS AS (amount / 1.19) STORED,
  words tsvector GENERATED ALWAYS AS (to_tsvector('german', 'Betrag ' || amount)) STORED);
INSERT INTO generated SELECT n, n * 3.3 FROM generate_series(1, 50) n;
CREATE TABLE typed (id int PRIMARY KEY, state mood, moods mood[], done percent DEFAULT 5, strict strict_percent DEFAULT 1, at point3,
  path point3[], deep line3, label citext, tags hstore, bits bit varying(7), fixed char(9), money money, addr inet, net cidr, mac macaddr8,
  took interval, ts timestamp, tz timestamptz, day date, clock timetz, uid uuid, tsq tsquery, jp jsonpath, box box, ring polygon, name name,
  oid oid, cls regclass, txid xid8, lsn pg_lsn, "char" "char", r int4range, rs nummultirange, fr floatrange, tr tstzrange);
INSERT INTO typed VALUES
  (1, 'müde', '{calm,NULL,"it''s \"odd\""}', 99.99, 0, '(1,2,"3.5")', ARRAY[(1, 2, 3)::point3, NULL], ((1, 2, 3), ARRAY[(4, 5, 6)::point3], 'a,"b"\c'),
   'CaSe', 'a=>1, "b c"=>NULL, "ü"=>"\"q\""', B'101', 'pad', '$1.50', '::1/64', '10/8', '08:00:2b:01:02:03:04:05',
   '1 year -2 months 3 days -04:05:06.789', '4713-01-01 BC', 'infinity', '-infinity', '24:00:00-15:59', md5('x')::uuid, '''a'' & !b:*C', '$.a[*] ? (@ > 1)',
   '(1,1),(0,0)', '((0,0),(1e-300,1e300),(2,2))', 'n', 4294967295, 'odd.small_serial', '18446744073709551615', 'FFFFFFFF/FFFFFFFF', E'\\200',
   '[1,5)', '{[1,2),(3,infinity]}', '(-infinity,NaN]', '[-infinity,2024-01-01 00:00:00.000001+02)'),
  (2, '', '{}', 0, 100, NULL, '[2:3]={"(1,,)","(,,NaN)"}', NULL, '', '', B'', '', '-$92,233,720,368,547,758.08', '0.0.0.0/0', '::/0',
   '00:00:00:00:00:00:00:00', '-178000000 years', '294276-12-31 23:59:59.999999', '-infinity', '5874897-12-31', '00:00:00+15:59', md5('y')::uuid, '', '$',
   '(0,0),(0,0)', '((0,0))', '', 0, '-', '0', '0/0', '', 'empty', '{}', 'empty', '(,)');
CREATE TABLE extremes (id int PRIMARY KEY, n numeric, f8 float8, f4 float4, i8 bigint, t text, b bytea);
INSERT INTO extremes VALUES
  (1, 'NaN', 'NaN', 'NaN', -9223372036854775808, E'\x01\x7f\t\n\r\\ \\N \u2028 \u0085 \U0001F600', '\x'),
  (2, 'Infinity', 'Infinity', 'Infinity', 9223372036854775807, '\N', '\x00ff00'),
  (3, '-Infinity', '-Infinity', '-Infinity', 0, '', decode(repeat('00', 3000), 'hex')),
  (4, 1e1000, 4.9406564584124654e-324, 1.1754942e-38, 1, 'é e' || chr(769), '\x0a0d5c2e'),
  (5, repeat('9', 900)::numeric, -0.0, 0.1::float4, -1, ' trailing ', '\x5c2e0a'), (6, 1.10, 0.1, 1, 2, E'\\.\n', NULL),
  (7, 0.000000000000000000000000000000000000001, 1e15 + 0.3, 16777217, 3, NULL, '\xdeadbeef');
CREATE TABLE toasted (id int PRIMARY KEY, plain text, compressed text, outside bytea, touched int DEFAULT 0);
ALTER TABLE toasted ALTER outside SET STORAGE EXTERNAL, ALTER compressed SET COMPRESSION pglz;
INSERT INTO toasted SELECT n, (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 400) m), repeat('compress me ', 3000),
  decode(repeat(md5(n::text), 2000), 'hex') FROM generate_series(1, 20) n;
CREATE TABLE toasted_keyless (a int, big text);
INSERT INTO toasted_keyless SELECT n, (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 400) m) FROM generate_series(1, 12) n;
CREATE TABLE bulk (id bigserial PRIMARY KEY, title text NOT NULL, body text NOT NULL, meta jsonb NOT NULL DEFAULT '{}');
INSERT INTO bulk (title, body, meta) SELECT 'document ' || n, repeat(md5(n::text), 30), jsonb_build_object('n', n)
  FROM generate_series(1, current_setting('odd.rows')::int) n;
CREATE INDEX ON bulk USING gin (title gin_trgm_ops);
CREATE INDEX ON bulk USING gin (meta jsonb_path_ops);
CREATE INDEX ON bulk USING brin (id);
CREATE INDEX ON bulk (lower(title)) WHERE id % 2 = 0;
CREATE STATISTICS bulk_together (ndistinct, dependencies) ON title, body FROM bulk;
ALTER TABLE bulk ALTER title SET STATISTICS 500;
ALTER TABLE bulk SET (fillfactor = 80, autovacuum_enabled = false);
CREATE TABLE empty (id int PRIMARY KEY, note text);
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE only_generated (a int GENERATED ALWAYS AS (1) STORED);
INSERT INTO only_generated DEFAULT VALUES;
CREATE TABLE dropped_columns (a int, gone text, b int PRIMARY KEY, gone_too int, c text);
INSERT INTO dropped_columns SELECT n, 'x', n, n, 'c' || n FROM generate_series(1, 30) n;
ALTER TABLE dropped_columns DROP gone, DROP gone_too, ADD d int DEFAULT 7, ADD e text;

-- --- names --------------------------------------------------------------------------------------------------------------------------
CREATE TABLE "Größe & Maß"."Tabelle mit ""Zeichen"". ; -- %s $1 \" ("Schlüssel" int PRIMARY KEY, "Zahl der ""Dinge""" int, "%s" text, "a.b" text, " " text);
INSERT INTO "Größe & Maß"."Tabelle mit ""Zeichen"". ; -- %s $1 \" SELECT n, n, '%', 'x', '' FROM generate_series(1, 30) n;
CREATE TABLE "Größe & Maß"."UPPER" ("ID" serial PRIMARY KEY, id int);
INSERT INTO "Größe & Maß"."UPPER" (id) SELECT n FROM generate_series(1, 30) n;
CREATE TABLE "Größe & Maß".upper (id int);
INSERT INTO "Größe & Maß".upper VALUES (1), (1), (NULL);
CREATE TABLE "Größe & Maß".U&"line\000Abreak\2028sep" (id int PRIMARY KEY, U&"col\000Aumn" text);
INSERT INTO "Größe & Maß".U&"line\000Abreak\2028sep" VALUES (1, 'x'), (2, NULL);
CREATE TABLE a_name_that_is_as_long_as_a_name_can_be_which_is_63_characters_ (a_column_that_is_as_long_as_a_name_can_be_which_is_63_characters__ int PRIMARY KEY);
INSERT INTO a_name_that_is_as_long_as_a_name_can_be_which_is_63_characters_ SELECT n FROM generate_series(1, 9) n;
CREATE TABLE "select" ("from" int PRIMARY KEY, "where" text, "order" int DEFAULT 1, "user" name DEFAULT current_user);
INSERT INTO "select" SELECT n, 'w', n FROM generate_series(1, 20) n;
CREATE TABLE "table" ("null" int, "default" text, "all" bool);
INSERT INTO "table" SELECT n, 'd', n % 2 = 0 FROM generate_series(1, 20) n;
-- Columns that are named like the aliases of the comparison.
CREATE TABLE pgcut_row (pgcut_row int PRIMARY KEY, key text, hash text, bucket int, rows int, sum int);
INSERT INTO pgcut_row SELECT n, 'k', 'h', 1, 2, 3 FROM generate_series(1, 20) n;

-- --- structure ----------------------------------------------------------------------------------------------------------------------
CREATE TABLE events (at date NOT NULL, kind text NOT NULL, id bigint NOT NULL, note text, PRIMARY KEY (at, kind, id)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (kind);
CREATE TABLE events_2026_a PARTITION OF events_2026 FOR VALUES IN ('a', 'ä');
CREATE TABLE events_2026_rest PARTITION OF events_2026 DEFAULT;
CREATE TABLE events_later PARTITION OF events DEFAULT;
INSERT INTO events SELECT date '2025-01-01' + n % 800, chr(97 + n % 3), n, md5(n::text) FROM generate_series(1, 900) n;
CREATE INDEX ON events (note);
-- Bounds in text: their order is that of the collation.
CREATE TABLE by_name (name text COLLATE german NOT NULL, id int) PARTITION BY RANGE (name);
CREATE TABLE by_name_a PARTITION OF by_name FOR VALUES FROM (MINVALUE) TO ('m');
CREATE TABLE by_name_m PARTITION OF by_name FOR VALUES FROM ('m') TO (MAXVALUE);
INSERT INTO by_name SELECT chr(97 + n % 26) || 'ärm' || n, n FROM generate_series(1, 60) n;
-- Keyless, and each partition has an index that can stand in.
CREATE TABLE by_code (code int NOT NULL, note text) PARTITION BY RANGE (code);
CREATE TABLE by_code_1 PARTITION OF by_code FOR VALUES FROM (0) TO (20) PARTITION BY RANGE (code);
CREATE TABLE by_code_1_1 PARTITION OF by_code_1 FOR VALUES FROM (0) TO (10);
CREATE TABLE by_code_1_2 PARTITION OF by_code_1 FOR VALUES FROM (10) TO (20);
CREATE TABLE by_code_2 PARTITION OF by_code DEFAULT;
CREATE UNIQUE INDEX ON by_code (code);
INSERT INTO by_code SELECT n, 'code ' || n FROM generate_series(1, 39, 2) n;
CREATE TABLE by_hash (id int PRIMARY KEY, note text) PARTITION BY HASH (id);
CREATE TABLE by_hash_0 PARTITION OF by_hash FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE by_hash_1 (note text, gone int, id int NOT NULL);
ALTER TABLE by_hash_1 DROP gone;
ALTER TABLE by_hash ATTACH PARTITION by_hash_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO by_hash SELECT n, 'h' || n FROM generate_series(1, 60) n;
-- A table that becomes a partition after it had rows.
CREATE TABLE events_2024 (LIKE events INCLUDING ALL);
INSERT INTO events_2024 SELECT date '2024-05-01' + n % 90, 'old', n, 'before' FROM generate_series(1, 50) n;
ALTER TABLE events ATTACH PARTITION events_2024 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parent (id int PRIMARY KEY, note text);
CREATE TABLE child (extra int, PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE grandchild (more text) INHERITS (child);
INSERT INTO parent SELECT n, 'parent' FROM generate_series(1, 20) n;
INSERT INTO child SELECT n, 'child', n FROM generate_series(1, 20) n;
INSERT INTO grandchild SELECT n, 'grandchild', n, 'm' FROM generate_series(1, 20) n;
CREATE TABLE hen (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
INSERT INTO egg SELECT n, n FROM generate_series(1, 30) n;
INSERT INTO hen SELECT n, n FROM generate_series(1, 30) n;
CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree ON DELETE CASCADE ON UPDATE CASCADE, name text NOT NULL DEFAULT 'leaf');
INSERT INTO tree SELECT n, nullif(n / 2, 0) FROM generate_series(1, 40) n;
CREATE TABLE doubtful (id int PRIMARY KEY, amount int);
INSERT INTO doubtful SELECT n, -n FROM generate_series(1, 10) n;
ALTER TABLE doubtful ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;
CREATE TABLE booked (room int, during tstzrange, EXCLUDE USING gist (room WITH =, during WITH &&), CHECK (NOT isempty(during)));
INSERT INTO booked SELECT n % 5, tstzrange(timestamptz '2026-01-01' + n * interval '1 hour', timestamptz '2026-01-01' + (n + 1) * interval '1 hour')
  FROM generate_series(1, 60) n;
CREATE TABLE collated (id int PRIMARY KEY, g text COLLATE german, b text COLLATE blind UNIQUE, c text COLLATE "C");
INSERT INTO collated SELECT n, 'Ärger ' || n, 'Name' || n, 'Ä' FROM generate_series(1, 40) n;
CREATE UNLOGGED TABLE scratch (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, twice text GENERATED ALWAYS AS (note || note) STORED);
INSERT INTO scratch (note) SELECT 's' || n FROM generate_series(1, 70) n;
CREATE UNLOGGED TABLE scratch_keyless (j json, n int);
INSERT INTO scratch_keyless SELECT '{"a" :1}', n FROM generate_series(1, 10) n;
CREATE SEQUENCE counters.ticket START 1000 INCREMENT 7;
CREATE SEQUENCE counters.never MINVALUE -5 START 5 CYCLE MAXVALUE 6 CACHE 20;
CREATE UNLOGGED SEQUENCE counters.light;
CREATE TABLE ticketed (id int PRIMARY KEY DEFAULT nextval('counters.ticket'), note text);
INSERT INTO ticketed (note) SELECT 't' FROM generate_series(1, 30);
SELECT nextval('counters.light'), nextval('counters.never');

-- --- programs -----------------------------------------------------------------------------------------------------------------------
CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz DEFAULT now(), what text);
CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = odd, pg_temp AS $f$
BEGIN
  INSERT INTO audit (what) VALUES (tg_op || ' of ' || tg_table_name || $q$ 'quoted' $q$);
  RETURN coalesce(new, old);
END $f$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON tree FOR EACH ROW EXECUTE FUNCTION note_it();
CREATE TRIGGER asleep AFTER INSERT ON tree FOR EACH ROW EXECUTE FUNCTION note_it();
ALTER TABLE tree DISABLE TRIGGER asleep;
CREATE FUNCTION half(n int) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN n / 2;
CREATE FUNCTION total(VARIADIC n int[]) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT sum(x) FROM unnest(n) x';
CREATE PROCEDURE tidy(INOUT n int DEFAULT 0) LANGUAGE plpgsql AS 'BEGIN n := n + 1; END';
CREATE AGGREGATE longest(text) (sfunc = pg_catalog.textcat, stype = text, initcond = '');
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq, commutator = ===);
CREATE CAST (point3 AS text) WITH INOUT AS ASSIGNMENT;
CREATE INDEX halved ON ticketed (half(id));
CREATE VIEW calm_typed WITH (security_barrier) AS SELECT id, state FROM typed WHERE state IN ('calm', 'müde') WITH CASCADED CHECK OPTION;
CREATE RECURSIVE VIEW depth (id, n) AS SELECT id, 0 FROM tree WHERE up IS NULL UNION ALL SELECT t.id, d.n + 1 FROM tree t JOIN depth d ON t.up = d.id;
CREATE RULE no_empty AS ON DELETE TO empty DO INSTEAD NOTHING;
-- The body finds `doubtful` by the search_path of the session, so the view is filled with the path of the database only.
CREATE FUNCTION loose() RETURNS bigint LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM doubtful); END';
CREATE MATERIALIZED VIEW totals AS SELECT kind, count(*) AS events FROM events GROUP BY kind;
CREATE UNIQUE INDEX ON totals (kind);
CREATE MATERIALIZED VIEW a_total_of_totals AS SELECT sum(events) AS events, max(odd.loose()) AS doubtful FROM totals;
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;

-- --- who may what -------------------------------------------------------------------------------------------------------------------
CREATE TABLE secured (id int PRIMARY KEY, owner name, secret text);
INSERT INTO secured SELECT n, CASE WHEN n % 2 = 0 THEN 'odd_reader' ELSE 'odd_owner' END, md5(n::text) FROM generate_series(1, 40) n;
ALTER TABLE secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON secured FOR SELECT TO odd_reader, "Ünlauter ""Gast""" USING (owner = current_user);
CREATE POLICY nobody ON secured AS RESTRICTIVE FOR ALL USING (id > 0) WITH CHECK (id > 0);
GRANT SELECT (id, owner), UPDATE (secret) ON secured TO odd_reader;
GRANT INSERT ON keyless TO "Ünlauter ""Gast""" WITH GRANT OPTION;
REVOKE ALL ON extremes FROM odd_reader;
REVOKE UPDATE ON typed FROM odd_owner;
GRANT USAGE ON SEQUENCE counters.ticket TO odd_reader;
GRANT USAGE ON SCHEMA "Größe & Maß" TO "Ünlauter ""Gast""" WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION half(int) TO odd_reader;
GRANT USAGE ON TYPE mood TO odd_reader;
COMMENT ON TABLE keyless IS E'no key''s "here"\n\\second line';
COMMENT ON COLUMN typed.state IS 'mood';
COMMENT ON CONSTRAINT positive ON doubtful IS 'was not always so';
COMMENT ON TRIGGER noted ON tree IS 'writes audit';
COMMENT ON POLICY own ON secured IS 'own rows';

-- --- large objects --------------------------------------------------------------------------------------------------------------------
CREATE TABLE attachments (id int PRIMARY KEY, file lo, size int);
SELECT lo_from_bytea(900001, '\xdeadbeef'), lo_create(900002), lo_create(900003), lo_create(900005), lo_from_bytea(900004, decode(repeat('00ff', 700000), 'hex'));
-- A hole of five pages, a page that is short in the middle, and one that was cut.
SELECT lo_put(900003, 10300, 'tail'), lo_put(900005, 0, 'short'), lo_put(900005, 4096, 'later');
INSERT INTO attachments SELECT n, 900000 + n, octet_length(lo_get(900000 + n)) FROM generate_series(1, 5) n;
GRANT SELECT ON LARGE OBJECT 900001 TO odd_reader;
GRANT SELECT, UPDATE ON LARGE OBJECT 900003 TO PUBLIC;
REVOKE UPDATE ON LARGE OBJECT 900004 FROM odd_owner;
GRANT SELECT ON LARGE OBJECT 900004 TO "Ünlauter ""Gast""" WITH GRANT OPTION;
COMMENT ON LARGE OBJECT 900002 IS 'nothing in it';

RESET ROLE;
ALTER FUNCTION total OWNER TO odd_definer;
GRANT CREATE ON SCHEMA odd TO odd_definer;
CREATE TRIGGER touched BEFORE UPDATE ON toasted FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE toasted DISABLE TRIGGER touched;
-- Every DDL command writes a row; the cutover's own must not, on either side.
CREATE FUNCTION odd.note_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = odd, pg_temp AS $f$
BEGIN INSERT INTO audit (what) VALUES ('DDL ' || tg_tag); END $f$;
CREATE EVENT TRIGGER odd_ddl ON ddl_command_end EXECUTE FUNCTION odd.note_ddl();
-- 1600 columns, the most that a table can have.
DO $$
BEGIN
  EXECUTE 'CREATE TABLE odd.wide (' || (SELECT string_agg('c' || n || ' int', ', ') FROM generate_series(1, 1600) n) || ', PRIMARY KEY (c1))';
  EXECUTE 'INSERT INTO odd.wide SELECT ' || (SELECT string_agg('n + ' || m, ', ') FROM generate_series(1, 1600) m) || ' FROM generate_series(1, 12) n';
  EXECUTE 'ALTER TABLE odd.wide OWNER TO odd_owner';
  -- Settings of the database: a timeout that would end the copy, formats that would change every value in a text.
  EXECUTE format('ALTER DATABASE %I SET statement_timeout = %L', current_database(), '200ms');
  EXECUTE format('ALTER DATABASE %I SET lock_timeout = %L', current_database(), '5s');
  EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = %L', current_database(), '300ms');
  EXECUTE format('ALTER DATABASE %I SET DateStyle = %L', current_database(), 'SQL, DMY');
  EXECUTE format('ALTER DATABASE %I SET IntervalStyle = %L', current_database(), 'sql_standard');
  EXECUTE format('ALTER DATABASE %I SET extra_float_digits = %L', current_database(), '-3');
  EXECUTE format('ALTER DATABASE %I SET bytea_output = %L', current_database(), 'escape');
  EXECUTE format('ALTER DATABASE %I SET TimeZone = %L', current_database(), 'Asia/Kathmandu');
  EXECUTE format('ALTER DATABASE %I SET search_path = public, odd, "Größe & Maß"', current_database());
  EXECUTE format('ALTER DATABASE %I SET odd.setting = %L', current_database(), 'it''s = "odd"');
  EXECUTE format('ALTER ROLE odd_reader IN DATABASE %I SET statement_timeout = %L', current_database(), '7s');
  EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'the odd one');
  EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 90', current_database());
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CREATE ON DATABASE %I TO odd_reader WITH GRANT OPTION', current_database());
END $$;
