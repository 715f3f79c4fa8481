"""The threads that answer: what does not end is replaced, up to a bound, and what comes back makes room again."""

import threading

import pytest

from daemon.config import Settings
from daemon.query import asked, queries
from daemon.query.queries import Queries
from daemon.store import open_database, sibling


@pytest.fixture
def answering(tmp_path, monkeypatch):
    monkeypatch.setattr(asked, "STUCK_SECONDS", 0.0)
    with open_database(tmp_path / "x.duckdb") as conn:
        made = Queries(lambda: sibling(conn), Settings(queries=1))
        made.start()
        yield made
        assert made.close(30)


def count(answering):
    return answering.ask("SELECT 1 AS one").result.result(30)["one"].to_pylist()


def test_a_query_that_does_not_end_is_replaced_and_makes_room_when_it_does(answering):
    free, begun = threading.Event(), threading.Event()

    def stuck(_reader):
        begun.set()
        assert free.wait(60)

    hanging = answering.submit(stuck, 0.05)
    assert begun.wait(30)
    waiting = answering.ask("SELECT 1 AS one")  # nobody is free for it
    while not answering.watch.stuck():
        pass
    answering.tick()
    assert count(answering) == [1]
    assert waiting.result.result(30)["one"].to_pylist() == [1]
    free.set()
    hanging.result.result(30)
    for _ in range(3):
        assert count(answering) == [1]
    assert len(answering._threads) == 1


def test_no_more_than_some_are_replaced(answering, monkeypatch):
    monkeypatch.setattr(queries, "MOST_REPLACED", 1)
    free, begun = threading.Event(), threading.Semaphore(0)

    def stuck(_reader):
        begun.release()
        assert free.wait(60)

    hanging = []
    for number in (1, 2):
        hanging.append(answering.submit(stuck, 0.05))
        assert begun.acquire(timeout=30)
        while answering.watch.stuck() < number:
            pass
        answering.tick()
    waiting = answering.submit(lambda _reader: 1, None)
    assert len(answering._threads) == 2
    free.set()
    assert waiting.result.result(30) == 1
    for each in hanging:
        each.result.result(30)
