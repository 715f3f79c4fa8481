"""Every way out of a query that was tried, and that each fails closed.

All run on a database that may reach files and the network, so that only the check and the transaction are proven.
"""

import os
from concurrent.futures import FIRST_COMPLETED, wait

import duckdb
import pytest

from daemon.config import Settings
from daemon.errors import CancelledError, LimitError, QueryError
from daemon.query.allowed import FUNCTIONS, MOST_BYTES, TABLE_FUNCTIONS
from daemon.query.queries import Queries

SECRET = "the-secret-that-nobody-may-read"

ESCAPES = {
    "files": """
        FROM '{file}'
        FROM '{folder}/x.parquet'
        FROM "{file}"
        SELECT * FROM '{folder}/*.csv'
        SELECT * FROM main.'{file}'
        FROM 'file://{file}'
        FROM 'https://example.invalid/x.csv'
        FROM 's3://bucket/x.parquet'
        FROM read_csv('{file}')
        FROM read_csv_auto('{file}')
        FROM sniff_csv('{file}')
        FROM read_text('{file}')
        FROM read_blob('{file}')
        FROM READ_TEXT('{file}')
        FROM "read_text"('{file}')
        FROM main.read_text('{file}')
        FROM system.main.read_text('{file}')
        FROM read_json('{file}')
        FROM read_json_auto('{file}')
        FROM read_json_objects('{file}')
        FROM read_ndjson('{file}')
        FROM read_ndjson_auto('{file}')
        FROM read_ndjson_objects('{file}')
        FROM read_parquet('{file}')
        FROM parquet_scan('{file}')
        FROM parquet_metadata('{file}')
        FROM parquet_schema('{file}')
        FROM parquet_file_metadata('{file}')
        FROM parquet_kv_metadata('{file}')
        FROM parquet_full_metadata('{file}')
        FROM parquet_bloom_probe('{file}', 'a', 1)
        FROM read_duckdb('{file}')
        FROM read_single_csv_file('{file}')
        FROM read_single_json_file('{file}')
        FROM read_single_parquet_file('{file}')
        FROM glob('{folder}/*')
        SELECT * FROM t, LATERAL (FROM glob('{folder}/*'))
        SELECT (SELECT content FROM read_text('{file}'))
        SELECT * FROM t WHERE EXISTS (FROM read_text('{file}'))
        SELECT * FROM t JOIN read_text('{file}') ON true
        SELECT * FROM t ORDER BY (SELECT content FROM read_text('{file}'))
        SELECT * FROM t LIMIT (SELECT length(content) FROM read_text('{file}'))
        SELECT a FROM t GROUP BY a HAVING (SELECT content FROM read_text('{file}')) > ''
        SELECT row_number() OVER (ORDER BY (SELECT content FROM read_text('{file}'))) FROM t
        WITH x AS (FROM read_text('{file}')) FROM x
        WITH x AS MATERIALIZED (FROM read_text('{file}')) SELECT 1
        WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n FROM x, read_text('{file}')) FROM x
        VALUES ((SELECT content FROM read_text('{file}')))
        SELECT 1 UNION ALL SELECT length(content) FROM read_text('{file}')
        SELECT list_transform([1], lambda x: (SELECT content FROM read_text('{file}')))
        SELECT [x FOR x IN (SELECT list(content) FROM read_text('{file}'))]
        PIVOT (FROM read_text('{file}')) ON filename IN ('x') USING count(*)
        UNPIVOT (FROM read_text('{file}')) ON content
        DESCRIBE '{file}'
        DESCRIBE FROM read_text('{file}')
        SUMMARIZE '{file}'
        SUMMARIZE FROM read_text('{file}')
        SHOW '{file}'
        SELECT '{file}'.read_text()
        SELECT read_text('{file}')
        SELECT read_blob('{file}')
        FROM t POSITIONAL JOIN read_text('{file}')
        FROM t ASOF JOIN '{file}' USING (a)
        FROM query_table('{file}')
        FROM query_table(['{file}'])
        FROM query('FROM read_text(''{file}'')')
        FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{file}'')'))
        SELECT * FROM histogram('{file}', 'content')
        SELECT * FROM histogram_values('{file}', content)
        WITH a AS (WITH "{file}" AS (SELECT 1) FROM "{file}") FROM a, '{file}'
        WITH "x.csv" AS (SELECT 1) SELECT * FROM "x.csv"
        FROM which_secret('s3://x', 's3')
        FROM pragma_storage_info('t')
        FROM pragma_metadata_info()
        FROM pragma_database_size()
        FROM duckdb_temporary_files()
        FROM duckdb_external_file_cache()
        FROM arrow_scan(1, 2, 3)
        FROM pandas_scan(1)
        FROM python_map_function(1)
        FROM seq_scan('t')
    """,
    "the program": """
        SELECT getenv('SESSIOND_SECRET')
        SELECT 'SESSIOND_SECRET'.getenv()
        SELECT getvariable('x')
        SELECT current_setting('memory_limit')
        SELECT current_setting('temp_directory')
        SELECT current_query()
        SELECT current_connection_id()
        SELECT txid_current()
        SELECT in_search_path('main', 'main')
        SELECT write_log('{file}')
        SELECT sleep_ms(100000)
        SELECT pg_sleep(100000)
        SELECT stats(a) FROM t
        SELECT vector_type(a) FROM t
        SELECT nextval('s')
        SELECT currval('s')
        SELECT setval('s', 1)
        SELECT setseed(0.5)
        SELECT error('x')
        FROM duckdb_settings()
        FROM duckdb_secrets()
        FROM duckdb_variables()
        FROM duckdb_logs()
        FROM duckdb_logs_parsed('x')
        FROM duckdb_extensions()
        FROM duckdb_databases()
        FROM duckdb_functions()
        FROM duckdb_memory()
        FROM duckdb_prepared_statements()
        FROM duckdb_settings
        FROM duckdb_secrets
        FROM duckdb_databases
        FROM pg_catalog.pg_settings
        FROM pg_settings
        FROM pragma_version()
        FROM pragma_platform()
        FROM pragma_user_agent()
        FROM pragma_table_info('t')
        FROM test_all_types()
        FROM enable_logging('x')
        FROM disable_logging()
        FROM enable_profiling('json')
        FROM truncate_duckdb_logs()
        FROM checkpoint('x')
        FROM force_checkpoint()
        FROM create_external_resource('x')
        FROM register_external_resource('x')
        FROM repeat_row(1, num_rows = 10)
        FROM repeat('x', 100000000)
        FROM df
        FROM rows_of_the_program
        FROM self
        FROM reader
        FROM other_database.main.t
        FROM system.main.duckdb_settings
        FROM temp.t
        SELECT json_serialize_sql('SELECT 1')
        SELECT json_deserialize_sql('x')
        SELECT json_serialize_plan('SELECT 1')
        SELECT to_aggregate_state(1)
        SELECT finalize(x) FROM t
        SELECT combine(1, 2)
        SELECT 'x'::INET
        SELECT length((string_agg('7', '')::BIGNUM)::VARCHAR) FROM range(20000000)
        SELECT 'x'::GEOMETRY
        SELECT 'x'::nosuchtype
        SELECT CAST('x' AS "spatial.geometry")
        SELECT st_area('x')
        SELECT made_up_function(1)
        SELECT mine(1)
        FROM my_table_macro()
    """,
    "writing": """
        INSERT INTO t VALUES (9)
        UPDATE t SET a = 9
        DELETE FROM t
        TRUNCATE t
        MERGE INTO t USING t AS s ON t.a = s.a WHEN MATCHED THEN DELETE
        WITH x AS (INSERT INTO t VALUES (9) RETURNING a) FROM x
        WITH x AS (DELETE FROM t RETURNING a) FROM x
        WITH x AS (UPDATE t SET a = 9 RETURNING a) FROM x
        WITH x AS MATERIALIZED (INSERT INTO t VALUES (9) RETURNING a) SELECT 1
        SELECT * FROM (WITH x AS (INSERT INTO t VALUES (9) RETURNING a) FROM x)
        CREATE TABLE x AS SELECT 1
        CREATE TEMP TABLE x AS SELECT 1
        CREATE VIEW x AS SELECT 1
        CREATE MACRO x() AS 1
        CREATE SECRET x (TYPE s3)
        CREATE TYPE x AS INTEGER
        CREATE SEQUENCE x
        CREATE SCHEMA x
        CREATE INDEX x ON t (a)
        ALTER TABLE t ADD COLUMN b INTEGER
        DROP TABLE t
        COMMENT ON TABLE t IS 'x'
        COPY t TO '{folder}/out.csv'
        COPY (SELECT 1) TO '{folder}/out.csv'
        COPY t FROM '{file}'
        COPY FROM DATABASE memory TO x
        EXPORT DATABASE '{folder}/out'
        IMPORT DATABASE '{folder}'
        ATTACH '{folder}/out.duckdb'
        ATTACH ':memory:' AS x
        DETACH x
        USE x
        SET threads = 8
        SET GLOBAL memory_limit = '10GB'
        SET VARIABLE x = 1
        RESET threads
        PRAGMA database_list
        PRAGMA enable_profiling
        CALL pragma_version()
        INSTALL httpfs
        FORCE INSTALL httpfs
        LOAD httpfs
        LOAD '{file}'
        UPDATE EXTENSIONS
        CHECKPOINT
        FORCE CHECKPOINT
        VACUUM
        ANALYZE
        BEGIN
        COMMIT
        ROLLBACK
        PREPARE x AS SELECT 1
        EXECUTE x
        DEALLOCATE x
        EXPLAIN SELECT 1
        EXPLAIN ANALYZE SELECT 1
        EXPLAIN ANALYZE DELETE FROM t
        PIVOT t ON a USING count(*)
        SELECT 1; SELECT 2
        SELECT 1; DROP TABLE t
        DROP TABLE t; SELECT 1
        SELECT 1; COMMIT; DROP TABLE t
        SELECT 1 /* */; /* */ DELETE FROM t
        SELECT $$x$$; DELETE FROM t
    """,
    "values that are made in one piece": """
        SELECT repeat('x', 3000000000)
        SELECT length(repeat('x', 3000000000))
        SELECT repeat('x', a::BIGINT) FROM t
        SELECT repeat('x', (SELECT max(a) FROM t))
        SELECT repeat('x', 9999 * 9999)
        SELECT repeat('x', -1)
        SELECT 'x'.repeat(3000000000)
        SELECT lpad('x', 2000000000, 'y')
        SELECT rpad('x', 2000000000, 'y')
        SELECT range(300000000)
        SELECT generate_series(0, 300000000)
        SELECT unnest(range(300000000))
        SELECT len(range(0, 300000000, 1))
        SELECT range(TIMESTAMP '0001-01-01', TIMESTAMP '9999-01-01', INTERVAL 1 microsecond)
        SELECT list_resize([1], 300000000)
        SELECT array_resize([1], 300000000)
        SELECT bitstring('1', 2000000000)
        SELECT bar(1, 0, 1, 1000000000)
        SELECT format('{{:>1000000000}}', 'x')
        SELECT format('{{:>{{}}}}', 'x', 1000000000)
        SELECT printf('%1000000000d', 1)
        SELECT printf('%*d', 1000000000, 1)
        SELECT printf(b, 1) FROM (SELECT '%1000000000d' AS b)
        SELECT equi_width_bins(0, 1, 1000000000, false)
        SELECT levenshtein(x, x) FROM (SELECT string_agg(range::VARCHAR, '') AS x FROM range(1000000))
        SELECT damerau_levenshtein(x, x) FROM (SELECT string_agg(range::VARCHAR, '') AS x FROM range(1000000))
        SELECT jaro_similarity(x, x) FROM (SELECT string_agg(range::VARCHAR, '') AS x FROM range(1000000))
    """,
    "no SQL at all": """
        selec 1
        SELECT
        SELECT nosuch FROM t
        SELECT 'x'::INTEGER
        SELECT * FROM nosuch
        SELECT 1 FROM t WHERE
        SELECT a FROM t AT (VERSION => 3)
        SELECT $1
    """,
}
ODD = {
    "nothing": "",
    "a comment": "-- nothing",
    "semicolons": ";;",
    "a null byte": "SELECT 1\0; DROP TABLE t",
    "too long": "SELECT " + "1+" * MOST_BYTES + "1",
    "parentheses": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "lists": "SELECT " + "[" * 20_000 + "]" * 20_000,
    "not": "SELECT " + "NOT " * 10_000 + "true",
    "nested queries": "SELECT * FROM " + "(SELECT * FROM " * 3_000 + "t" + ")" * 3_000,
    "a name of many parts": "SELECT " + "x." * 20_000 + "x",
    "expressions that double": "WITH "
    + ", ".join(f"c{n} AS (SELECT * FROM c{n - 1}, c{n - 1} z)" if n else "c0 AS (SELECT 1)" for n in range(40))
    + " SELECT count(*) FROM c39",
    "many joins": "FROM t " + "JOIN t USING (a) " * 2_000,
    "surrogates": "SELECT '\ud800'",
}


def listed():
    for kind, text in ESCAPES.items():
        for line in text.strip().splitlines():
            yield pytest.param(line.strip(), id=f"{kind}: {line.strip()[:60]}")


class Asked:
    """A database with a table, a secret beside it, and a way to ask."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.file = folder / "secret.csv"
        self.file.write_text(f"content\n{SECRET}\n")
        self.conn = duckdb.connect(str(folder / "x.duckdb"))
        self.conn.execute("SET enable_progress_bar = false")
        self.conn.execute("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2)")
        self.conn.execute(
            "CREATE SEQUENCE s; CREATE MACRO mine(x) AS x; CREATE MACRO my_table_macro() AS TABLE FROM t"
        )
        wanted = {"root": folder, "db": folder / "x.duckdb"} | settings
        self.queries = Queries(self.conn.cursor, Settings(**wanted))
        self.queries.start()

    def ask(self, sql, *parameters):
        return self.queries.ask(sql, parameters).result.result(60)

    def state(self):
        names = "SELECT list(name ORDER BY name) FROM (SELECT table_name AS name FROM duckdb_tables())"
        return (
            self.conn.execute("SELECT list(a ORDER BY a) FROM t").fetchall(),
            self.conn.execute(names).fetchall(),
            self.conn.execute("SELECT count(*) FROM duckdb_databases()").fetchall(),
            self.conn.execute("SELECT current_setting('threads'), current_setting('memory_limit')").fetchall(),
            sorted(
                path.name for path in self.folder.iterdir() if ".tmp" not in path.name and ".wal" not in path.name
            ),
        )

    def close(self):
        assert self.queries.close(10)
        self.conn.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    os.environ["SESSIOND_SECRET"] = SECRET
    asked = Asked(tmp_path_factory.mktemp("escapes"))
    yield asked
    asked.close()
    del os.environ["SESSIOND_SECRET"]


@pytest.fixture
def asked(tmp_path):
    made = []

    def make(**settings):
        made.append(Asked(tmp_path, **settings))
        return made[0]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("sql", list(listed()))
def test_it_fails_closed(shared, sql):
    rows_of_the_program = duckdb.sql("SELECT 1 AS leaked").to_arrow_table()
    df = rows_of_the_program
    before = shared.state()
    with pytest.raises(QueryError) as caught:
        shared.ask(sql.format(file=shared.file, folder=shared.folder))
    assert SECRET not in str(caught.value)
    assert shared.state() == before
    assert df.num_rows == 1
    assert shared.ask("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 2}]


@pytest.mark.parametrize("name", ODD)
def test_odd_text_is_refused_and_the_next_query_works(shared, name):
    with pytest.raises(QueryError):
        shared.ask(ODD[name])
    assert shared.ask("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 2}]


def test_the_check_is_not_the_only_wall(shared):
    def write(reader):
        reader.conn.execute("INSERT INTO t VALUES (9)")

    with pytest.raises(QueryError, match="read-only"):
        shared.queries.read(write).result.result(60)
    assert shared.ask("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 2}]


LEGITIMATE = {
    "SELECT a FROM t ORDER BY a DESC": [2, 1],
    "FROM t WHERE a > 1": [2],
    "TABLE t": [1, 2],
    "VALUES (3), (4)": [3, 4],
    "SELECT 1;": [1],
    "/* x */ SELECT 1 -- y": [1],
    "SELECT count(*) FROM t JOIN t AS u USING (a)": [2],
    "SELECT t.a FROM t, t AS u WHERE t.a < u.a": [1],
    "WITH x AS (SELECT a + 1 AS b FROM t) SELECT sum(b)::INTEGER FROM x": [5],
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r": [1, 2, 3],
    "SELECT unnest([1, 2])": [1, 2],
    "SELECT u FROM unnest([5]) AS x(u)": [5],
    "SELECT count(*) FROM range(1000000)": [1_000_000],
    "SELECT * FROM generate_series(1, 3)": [1, 2, 3],
    "SELECT range(3)": [[0, 1, 2]],
    "SELECT list_transform([1, 2], lambda x: x + 1)": [[2, 3]],
    "SELECT [x * 2 FOR x IN [1, 2] IF x > 1]": [[4]],
    "SELECT lpad('1', 3, '0')": ["001"],
    "SELECT repeat('ab', 2)": ["abab"],
    "SELECT format('{:>4}', 'x')": ["   x"],
    "SELECT printf('%05.2f', 1.5)": ["01.50"],
    "SELECT a FROM t QUALIFY row_number() OVER (ORDER BY a DESC) = 1": [2],
    "SELECT DISTINCT ON (a % 1) a FROM t ORDER BY a": [1],
    "SELECT sum(a)::INTEGER FROM t GROUP BY GROUPING SETS ((a), ()) ORDER BY 1": [1, 2, 3],
    "SELECT count(*) FILTER (a > 1) FROM t": [1],
    "SELECT string_agg(a::VARCHAR, ',' ORDER BY a DESC) FROM t": ["2,1"],
    "SELECT quantile_cont(a, 0.5) FROM t": [1.5],
    "SELECT max(a) OVER (ORDER BY a ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t": [1, 2],
    "SELECT CASE WHEN a > 1 THEN 'big' ELSE 'small' END FROM t": ["small", "big"],
    "SELECT a BETWEEN 1 AND 1 FROM t": [True, False],
    "SELECT a IN (2, 3) FROM t": [False, True],
    "SELECT a IS DISTINCT FROM 1 FROM t": [False, True],
    "SELECT EXISTS (FROM t)": [True],
    "SELECT (SELECT max(a) FROM t)": [2],
    "SELECT 2 = ANY (FROM t)": [True],
    "SELECT {'x': {'y': 7}}.x.y": [7],
    "SELECT MAP {'k': 1}['k']": [1],
    "SELECT '{\"a\": {\"b\": 3}}'::JSON->>'$.a.b'": ["3"],
    "SELECT json_extract('[1, 2]', '$[1]')::INTEGER": [2],
    "SELECT date_trunc('month', TIMESTAMP '2026-05-06 07:08:09')::VARCHAR": ["2026-05-01 00:00:00"],
    "SELECT extract(year FROM DATE '2026-05-06')": [2026],
    "SELECT strftime(DATE '2026-05-06', '%d.%m.%Y')": ["06.05.2026"],
    "SELECT (TIMESTAMPTZ '2026-01-01 00:00:00+00' AT TIME ZONE 'Europe/Berlin')::VARCHAR": ["2026-01-01 01:00:00"],
    "SELECT TRY_CAST('x' AS INTEGER)": [None],
    "SELECT upper('x') || trim(' y ')": ["Xy"],
    "SELECT regexp_extract('ab12', '[0-9]+')": ["12"],
    "SELECT 'abc'[2:]": ["bc"],
    "SELECT count(*) FROM (PIVOT t ON a IN (1, 2) USING count(*))": [1],
    "SELECT value FROM (UNPIVOT (SELECT 1 AS x, 2 AS y) ON x, y) ORDER BY value": [1, 2],
    "SELECT count(*) FROM (DESCRIBE t)": [1],
    "SELECT count(*) FROM (SUMMARIZE t)": [1],
    "SHOW TABLES": ["t"],
    "SELECT column_name FROM information_schema.columns WHERE table_name = 't'": ["a"],
    "SELECT table_name FROM duckdb_tables()": None,
    "SELECT table_name FROM duckdb_tables WHERE NOT internal": ["t"],
    "SELECT a FROM main.t ORDER BY ALL": [1, 2],
    "SELECT a FROM x.main.t ORDER BY ALL": [1, 2],
    "SELECT a FROM T ORDER BY ALL": [1, 2],
    "SELECT * EXCLUDE (a) REPLACE (2 AS b) FROM (SELECT a, 1 AS b FROM t)": [2, 2],
    "SELECT COLUMNS('a') FROM t": [1, 2],
    "SELECT a FROM t ASOF JOIN (SELECT 2 AS a) AS u USING (a)": [2],
    "SELECT #1 FROM t": None,
    "SELECT a FROM t UNION SELECT 3 EXCEPT SELECT 1 ORDER BY 1": [2, 3],
    "SELECT 'B' COLLATE NOCASE = 'b'": [True],
    "SELECT count(*) FROM t TABLESAMPLE 100%": [2],
    "SELECT sha256('x')[:4]": ["2d71"],
}


@pytest.mark.parametrize("sql", LEGITIMATE)
def test_what_analysts_ask_is_answered(shared, sql):
    if LEGITIMATE[sql] is None:
        sql = sql.replace("FROM duckdb_tables()", "FROM duckdb_tables").replace("#1", "a")
        assert shared.ask(sql).num_rows
        return
    assert [next(iter(row.values())) for row in shared.ask(sql).to_pylist()] == LEGITIMATE[sql]


def test_parameters_are_bound_and_never_read_as_sql(shared):
    assert shared.ask("SELECT ? || 'x' AS v", "'; DROP TABLE t; --").to_pylist() == [{"v": "'; DROP TABLE t; --x"}]
    assert shared.ask("SELECT a FROM t WHERE a = $1", 2).to_pylist() == [{"a": 2}]


def test_what_is_wrong_is_said_with_the_place(shared):
    for sql, place in (
        ("SELECT 1 +", "LINE 1"),
        ("SELECT nosuch FROM t", "LINE 1: SELECT nosuch"),
        ("SELECT 'x'::INT", "^"),
    ):
        with pytest.raises(QueryError) as caught:
            shared.ask(sql)
        assert place in str(caught.value)
    with pytest.raises(QueryError, match="'read_text' is not allowed in a query, at character 8"):
        shared.ask("SELECT read_text('x')")


def test_only_functions_that_this_database_knows_are_allowed_and_none_of_the_notorious():
    known = {name.lower() for (name,) in duckdb.sql("SELECT function_name FROM duckdb_functions()").fetchall()}
    windows = {"row_number", "rank", "dense_rank", "rank_dense", "percent_rank", "cume_dist", "ntile"}
    windows |= {"lag", "lead", "first_value", "last_value", "nth_value", "fill"}
    assert (FUNCTIONS | TABLE_FUNCTIONS) - known - windows - {"unnest"} == set()
    notorious = {"getenv", "current_setting", "query", "query_table", "glob", "getvariable", "write_log", "sleep_ms"}
    notorious |= {name for name in known if name.startswith(("read_", "pragma_", "duckdb_", "pg_read", "sniff"))}
    assert (FUNCTIONS | TABLE_FUNCTIONS) & notorious == set()


SLOW = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * 7 = b.range * 3 + 1 + a.range % 2"
LIMITS = {
    "query_seconds": [SLOW, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r"],
    "query_rows": ["FROM range(20000)"],
    "query_bytes": ["SELECT repeat('x', 9999) FROM range(100)"],
    "memory": [
        "SELECT list(md5(range::VARCHAR)) FROM range(20000000)",
        "SELECT len(list_transform(l, lambda x: l)) FROM (SELECT list(range) AS l FROM range(60000))",
        "SELECT replace(replace(x, '1', x), '2', x) FROM (SELECT string_agg(range::VARCHAR, '') x FROM range(5000))",
        "SELECT string_agg(md5(range::VARCHAR), '') FROM range(20000000)",
        "SELECT count(DISTINCT md5(range::VARCHAR)), list(range) FROM range(50000000)",
        "WITH RECURSIVE r(n, s) AS (SELECT 1, 'xxxxxxxx' UNION ALL SELECT n + 1, s || s FROM r WHERE n < 40) FROM r",
    ],
}


@pytest.mark.parametrize(("limit", "sql"), [(limit, sql) for limit, each in LIMITS.items() for sql in each])
def test_what_is_too_slow_or_too_large_is_ended_with_an_error_that_names_the_limit(asked, limit, sql):
    seconds = 0.3 if limit == "query_seconds" else 60.0
    small = asked(query_seconds=seconds, query_rows=10_000, query_bytes=500_000, query_memory="64MB")
    with pytest.raises(LimitError) as caught:
        small.ask(sql)
    assert caught.value.limit in ({"query_memory", "memory_limit"} if limit == "memory" else {limit})
    assert caught.value.limit in caught.value.hint
    assert small.ask("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 2}]


def test_one_that_nobody_waits_for_any_more_is_ended(asked):
    one = asked(queries=1)
    running, waiting = one.queries.ask(SLOW), one.queries.ask(SLOW)
    waiting.end()
    while not one.queries.watch.running():
        pass
    running.end()
    with pytest.raises(CancelledError):
        running.result.result(60)
    assert waiting.result.cancelled()
    assert one.ask("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 2}]


def test_queries_are_not_ended_for_ever_for_memory_that_is_somebody_elses(asked):
    one = asked(queries=2, query_memory="64MB", query_seconds=3600)
    running = [one.queries.ask(SLOW), one.queries.ask(SLOW)]
    while one.queries.watch.running() < 2:
        pass
    mine = bytearray(b"x") * 400_000_000  # as the daemon's own work may take while queries run without a pause
    ended, _ = wait([each.result for each in running], 60, FIRST_COMPLETED)
    assert [type(each.exception()) for each in ended] == [LimitError]
    assert one.ask("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 2}]
    assert len(mine) == 400_000_000
    for each in running:
        each.end()


def test_memory_that_a_commit_needs_is_given_back(asked):
    one = asked(queries=1)
    running = one.queries.ask(SLOW)
    while not one.queries.watch.running():
        pass
    assert one.queries.relieve()
    with pytest.raises(LimitError, match="the daemon needed the memory"):
        running.result.result(60)
    assert not one.queries.relieve()
