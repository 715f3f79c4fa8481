"""Memory that nobody needs is given back: at a quiet time, now and then, and never for longer than a moment."""

from daemon.config import bytes_of
from daemon.memory import EVERY_SECONDS, QUIET_SECONDS, Leisure, give_back
from daemon.store import open_database, scalar

USED = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
LIMIT = "SELECT current_setting('memory_limit')"


def test_the_database_gives_back_what_it_keeps_and_may_use_as_much_as_before(database, monkeypatch):
    monkeypatch.setattr("daemon.memory.KEPT_BYTES", 4_000_000)
    with open_database(database, memory_limit="200MB") as conn:
        conn.execute("CREATE TABLE much AS SELECT hash(i) AS a, hash(i + 1) AS b FROM range(2000000) AS r(i)")
        conn.execute("CHECKPOINT")
        conn.execute("SELECT sum(a % 7), sum(b % 7) FROM much").fetchall()
        allowed = scalar(conn, LIMIT)
        assert scalar(conn, USED) > 20_000_000
        give_back(conn, bytes_of("200MB"))
        assert scalar(conn, USED) <= 4_000_000
        assert scalar(conn, LIMIT) == allowed


class Hours:
    """A main loop whose seconds pass at once."""

    def __init__(self):
        self.now, self.done, self.busy, self.times = 0.0, 0, False, 0
        self.leisure = Leisure(self._work, lambda: self.done, lambda: self.busy, lambda: self.now)

    def _work(self):
        self.times += 1

    def pass_seconds(self, seconds, *, working=False):
        for _ in range(int(seconds)):
            self.now += 1
            self.done += working
            self.leisure.tick()
        return self.times


def test_it_is_done_once_after_each_time_that_something_was_done():
    hours = Hours()
    assert hours.pass_seconds(QUIET_SECONDS + 2) == 1
    assert hours.pass_seconds(10 * EVERY_SECONDS) == 1
    hours.done += 1
    assert hours.pass_seconds(QUIET_SECONDS + 2) == 2


def test_it_is_done_now_and_then_where_it_is_never_quiet_and_not_while_there_is_a_backlog():
    hours = Hours()
    assert hours.pass_seconds(4 * EVERY_SECONDS + 4, working=True) in {3, 4}
    before, hours.busy = hours.times, True
    assert hours.pass_seconds(4 * EVERY_SECONDS, working=True) == before
