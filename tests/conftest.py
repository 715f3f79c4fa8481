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
