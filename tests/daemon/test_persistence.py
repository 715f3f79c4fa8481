"""Writing that does not give up while there is hope."""

import threading

import duckdb
import pytest

from daemon.errors import OverMemoryError, StoreError
from daemon.events import Events
from daemon.persistence import RELIEFS, Persistence

NO_MEMORY = duckdb.OutOfMemoryException("could not allocate block")


class Failing:
    """Work that fails with each of some errors, and then does not."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.done = 0

    def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        self.done += 1


@pytest.fixture
def persistence():
    return Persistence(Events(), threading.Event())


def test_a_commit_that_lacks_memory_is_made_once_the_queries_have_given_theirs_back(persistence):
    relieved = []
    persistence.relieve = lambda: relieved.append(True) or True
    work = Failing(NO_MEMORY, NO_MEMORY)
    persistence.do(work)
    assert (work.done, len(relieved)) == (1, 2)


def test_it_fails_if_there_is_nothing_to_give_back(persistence):
    with pytest.raises(OverMemoryError):
        persistence.do(Failing(NO_MEMORY))


def test_it_does_not_take_memory_from_queries_for_ever(persistence):
    relieved = []
    persistence.relieve = lambda: relieved.append(True) or True
    with pytest.raises(OverMemoryError):
        persistence.do(Failing(*[NO_MEMORY] * 100))
    assert len(relieved) == RELIEFS


def test_a_conflict_is_tried_again_and_an_invalidated_database_is_not(persistence):
    work = Failing(duckdb.TransactionException("Conflict on update!"))
    persistence.do(work)
    assert work.done == 1
    with pytest.raises(StoreError, match="unusable"):
        persistence.do(Failing(duckdb.FatalException("database has been invalidated")))


def test_a_full_disk_is_told_and_waited_for_until_the_end():
    told = []
    closing = threading.Event()
    persistence = Persistence(Events(lambda _level, event, _fields: told.append(event)), closing)
    closing.set()
    full = duckdb.IOException("No space left on device")
    with pytest.raises(duckdb.IOException):
        persistence.do(Failing(full))
    assert persistence.blocked_since is not None
    persistence.do(Failing())
    assert persistence.blocked_since is None
    assert told == ["store_blocked", "store_resumed"]
