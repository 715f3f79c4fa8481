"""What all tests share: a root for sessions, a database, and how hypothesis is run."""

import pytest
from hypothesis import HealthCheck, settings

from daemon import open_database

settings.register_profile(
    "sessiond",
    deadline=None,  # the time limit of each test is pytest's
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sessiond")


TOGETHER = ("tests/system/service/", "tests/system/torture/", "tests/system/test_hostile_words.py")
"""What shares one booted machine, one daemon or one place runs in one process, one test after the other."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Spread single tests over the processes; those of one of the above are one."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  # tests run without it, too

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)

    return Scheduling(config, log)


@pytest.fixture
def root(tmp_path):
    """An empty root; ``alice`` has a folder in it."""
    (tmp_path / "root" / "alice").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def database(tmp_path):
    """The path of a database that is not there yet."""
    return tmp_path / "state" / "sessiond.duckdb"


@pytest.fixture
def conn(database):
    """A connection to a new database."""
    with open_database(database) as connection:
        yield connection
