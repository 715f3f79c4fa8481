"""The database: there or not, of which version, sound or damaged."""

import duckdb
import pytest

from daemon.doctor import stored as room
from daemon.errors import LimitError, QueryError
from daemon.schema import SCHEMA_VERSION
from daemon.shadow import copy_of
from daemon.store import open_database


@pytest.fixture
def stored(database):
    """Makes a database, with whatever else is to be done in it."""

    def make(*statements):
        with open_database(database) as conn:
            for statement in statements:
                conn.execute(statement)
        return database

    return make


def _levels(found):
    return [level for level, _, _ in found]


def test_a_database_that_is_not_there_yet_is_all_right(ask, database):
    assert ask("database") == [("ok", f"{database} is not there yet: the first start makes it", "")]
    assert not database.parent.exists()


def test_a_sound_database_is_read_to_the_end_and_left_as_it_is(ask, stored):
    path = stored(
        'CREATE TABLE "odd ""name" AS FROM range(1000)', "CREATE SCHEMA s", "CREATE TABLE s.t AS FROM range(7)"
    )
    before = path.read_bytes()
    ((level, says, _),) = ask("database")
    assert level == "ok"
    assert says.endswith("tables read from end to end, 1,008 rows")  # one is that of the version
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {path.name, copy_of(path).name}


@pytest.mark.parametrize(
    ("statement", "level", "says", "fix"),
    [
        (
            "UPDATE sessiond_schema SET version = 1",
            "warning",
            f"version 1, and this sessiond {SCHEMA_VERSION}",
            "start",
        ),
        ("UPDATE sessiond_schema SET version = 999", "error", "version 999", "newer sessiond"),
        ("DROP TABLE sessiond_schema", "warning", "not of this sessiond yet", "start"),
    ],
)
def test_a_database_of_another_version_is_told_of(ask, stored, statement, level, says, fix):
    stored(statement)
    found = ask("database")
    assert _levels(found) == [level, "ok"]
    assert says in found[0][1]
    assert fix in found[0][2]


def _damaged(path, place, data=b"\xff\x00" * 8):
    with path.open("r+b") as file:
        file.seek(place)
        assert file.read(len(data)) != data
        file.seek(place)
        file.write(data)
    return path.read_bytes()


def test_a_damaged_table_is_an_error_that_names_it_and_the_others_are_read(ask, stored):
    path = stored("CREATE TABLE large AS SELECT hash(i) AS h, 'secret' || hash(i) AS text FROM range(200000) AS r(i)")
    before = _damaged(path, path.stat().st_size // 2)
    found = ask("database")
    assert _levels(found) == ["error", "ok"]
    assert "1 table cannot be read: large: a block does not have the checksum" in found[0][1]
    assert "secret" not in found[0][1]
    assert "run sessiond rebuild" in found[0][2]
    assert path.read_bytes() == before


def test_a_database_whose_end_is_missing_is_an_error(ask, stored):
    path = stored("CREATE TABLE large AS SELECT hash(i) AS h FROM range(500000) AS r(i)")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    found = ask("database")
    assert found[0][0] == "error"
    assert found[0][2]


def test_a_database_that_cannot_even_be_opened_is_an_error_and_what_needs_it_is_skipped(ask, stored, root):
    path = stored()
    size = path.stat().st_size
    for place in range(12_288, size, 4096):
        _damaged(path, place)
    level, says, fix = ask("database")[0]
    assert level == "error"
    assert str(path) in says
    assert "sessiond rebuild" in fix
    assert ask("state") == [("skipped", "the database cannot be used, see database", "")]
    assert "skipped" in _levels(ask("clock"))


@pytest.mark.parametrize("kind", ["folder", "text", "empty"])
def test_what_is_no_database_is_an_error_and_left_alone(ask, database, kind):
    database.parent.mkdir()
    if kind == "folder":
        database.mkdir()
    else:
        database.write_text("dear diary\n" * 1000 if kind == "text" else "")
    level, says, _ = ask("database")[0]
    assert level == "error"
    assert str(database) in says
    assert kind == "folder" or database.read_text() in {"", "dear diary\n" * 1000}


def test_the_database_of_an_older_tool_is_told_of(ask, database):
    database.parent.mkdir()
    with duckdb.connect(str(database)) as conn:
        conn.execute("CREATE TABLE session_extraction_state (session_file VARCHAR PRIMARY KEY)")
    assert _levels(ask("database")) == ["warning", "ok"]
    assert ask("state") == [("skipped", "the state cannot be read, see database", "")]


class Daemon:
    """A database behind a daemon that reads small tables only."""

    def __init__(self, error):
        self.error = error

    def rows(self, sql, *_parameters):
        if "large" in sql:
            raise self.error
        return [(5, 0)]


@pytest.mark.parametrize(
    ("error", "level", "says"),
    [
        (
            LimitError("the query took longer than 30 s", "query_seconds"),
            "skipped",
            "too large to be read now: large",
        ),
        (
            QueryError("Corrupt database file: computed checksum 1"),
            "error",
            "large: a block does not have the checksum",
        ),
        (QueryError("a value that a session says"), "error", "large: the query fails in the daemon"),
    ],
)
def test_a_table_that_the_daemon_does_not_read_is_named_with_the_reason(patient, error, level, says):
    failed, read = room._content(patient(), Daemon(error), [("main", "large"), ("main", "small")], "fix")
    assert failed.level == level
    assert says in failed.says
    assert "a session says" not in failed.says
    assert failed.fix
    assert read.says == "1 table read from end to end, 5 rows"
