"""Tables over all sessions: what follows from all rows, what people decided, and what must not be there."""

import sys
import threading

import pytest

from daemon import open_database, run_processor
from daemon.config import Settings
from daemon.control import Control
from daemon.errors import ContractError
from daemon.overall import change_to, changed, remove, rows_of
from daemon.steps import take_step
from daemon.tables import make_tables
from processors import Order, OrderError, OverallTable, PauseError, ProcessorResult, Removal, Step, StepResult, Table
from processors.registry import ProcessorError, register

WORDS = """
from processors import OverallTable, ProcessorResult, Removal, Step, StepResult, Table

def longest(given, stopped):
    return StepResult({"longest": [(row["username"], row["n"]) for row in given["lines"].to_pylist()]})

class P:
    name = "words"
    version = %d
    tables = (Table("words", {"length": "BIGINT"}),)
    records = (OverallTable("decided", {"name": "VARCHAR", "about": "VARCHAR"}),)
    removals = (%s)
    steps = (
        Step("longest", {"lines": "SELECT username, max(length) AS n FROM words GROUP BY 1 ORDER BY 1"},
             (OverallTable("longest", {"username": "VARCHAR", "n": "BIGINT"}),), longest),
        Step("undecided", {"names": "SELECT username AS name FROM words EXCEPT SELECT about FROM decided"},
             (OverallTable("undecided", {"name": "VARCHAR"}),),
             lambda given, _: StepResult({"undecided": [(name,) for name in given["names"]["name"].to_pylist()]})),
    )

    def process(self, batch):
        rows = [(len(line),) for line in batch.lines]
        return ProcessorResult(len(rows), {"words": rows})
"""


class Counting:
    """One row per line; a step says how many there are of each user."""

    name = "counting"
    version = 1
    tables = (Table("lines", {"n": "BIGINT"}),)

    def __init__(self, work=None):
        self.calls = []
        self.steps = (
            Step(
                "count",
                {"lines": "SELECT username, count(*) AS n FROM lines GROUP BY 1 ORDER BY 1"},
                (OverallTable("counted", {"username": "VARCHAR", "n": "BIGINT"}),),
                work or self.count,
            ),
        )

    def count(self, given, _stopped):
        rows = [(row["username"], row["n"]) for row in given["lines"].to_pylist()]
        self.calls.append(rows)
        return StepResult({"counted": rows})

    def process(self, batch):
        return ProcessorResult(rows={"lines": [(1,) for _ in batch.lines]})


def counted(live):
    return live.query("SELECT username, n FROM counted ORDER BY 1")


def test_what_follows_from_all_rows_is_worked_out_after_they_have_changed(box, line, until):
    processor = Counting()
    live = box.live(processor)
    box.append("alice/a.jsonl", line(1), line(2))
    until(lambda: counted(live), [("alice", 2)])
    box.append("bob/b.jsonl", line(1))
    until(lambda: counted(live), [("alice", 2), ("bob", 1)])
    box.path("alice/a.jsonl").write_bytes(line(3))
    until(lambda: counted(live), [("alice", 1), ("bob", 1)])
    assert live.engine.steps.ask("counting", 30)
    assert live.stop() == 0
    calls = len(processor.calls)
    live = box.live(processor)
    assert live.engine.steps.ask("counting", 30)
    assert counted(live) == [("alice", 1), ("bob", 1)]
    assert len(processor.calls) > calls, "a start works out what may have changed before"


def test_nothing_is_written_where_nothing_changes(box, line, until):
    live = box.live(Counting())
    box.append("alice/a.jsonl", line(1))
    until(lambda: counted(live), [("alice", 1)])
    written = []
    with live.engine.connect() as conn:
        assert take_step(conn, Counting().steps[0], written.append, lambda: False)[1] == ""
    assert written == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: {}["x"],
        lambda: StepResult({"counted": [(1, "no number")]}),
        lambda: None,
        sys.exit,
    ],
)
def test_a_step_that_fails_is_told_once_keeps_what_was_there_and_is_tried_again(box, line, until, wrong, monkeypatch):
    monkeypatch.setattr("daemon.steps.AGAIN_SECONDS", 0.1)
    failing = []

    def work(given, stopped):
        if failing:
            failing.append(1)
            return wrong()
        return Counting.count(processor, given, stopped)

    processor = Counting(work)
    live = box.live(processor)
    box.append("alice/a.jsonl", line(1))
    until(lambda: counted(live), [("alice", 1)])
    failing.append(0)
    box.append("alice/a.jsonl", line(2))
    until(lambda: len(failing) > 3)
    assert counted(live) == [("alice", 1)]
    assert len(live.of("step_failed", processor="counting")) == 1
    assert not live.engine.steps.ask("counting", 30), "they were taken, and not with success"
    assert "counting, step count: " in live.service._health.reasons()[0]
    failing.clear()
    until(lambda: counted(live), [("alice", 2)])
    until(live.service._health.reasons, [])


def test_a_step_can_give_what_it_has_and_wait_for_the_rest(box, line, until):
    waits = [True]

    def work(given, stopped):
        result = Counting.count(processor, given, stopped)
        pause = PauseError("there is no more today", 0.1)
        return StepResult({"counted": result.rows["counted"][:1]}, pause) if waits else result

    processor = Counting(work)
    live = box.live(processor)
    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(1))
    until(lambda: counted(live), [("alice", 1)])
    until(live.service._health.reasons, ["counting, step count waits: there is no more today"])
    waits.clear()
    until(lambda: counted(live), [("alice", 1), ("bob", 1)])


def test_a_step_that_takes_long_holds_up_neither_sessions_nor_a_stop(box, line, until):
    begun, go = threading.Event(), threading.Event()

    def work(_given, stopped):
        begun.set()
        while not (stopped() or go.wait(0.01)):
            pass
        return StepResult()

    live = box.live(Counting(work))
    try:
        assert begun.wait(30)
        box.append("alice/a.jsonl", line(1))
        until(lambda: live.query("SELECT count(*) FROM lines"), [(1,)])
        assert live.stop() == 0
        assert live.service.clean
    finally:
        go.set()


def test_commands_take_the_steps_too(box, line, database):
    box.plugin("words", WORDS % (1, ""))
    box.append("alice/a.jsonl", b'{"a":1}\n')
    done = box.sessiond("scan", box.root, "--db", box.db, processors='["words"]')
    assert done.returncode == 0, done.stderr
    assert box.query("SELECT * FROM longest") == [("alice", 7)]
    with open_database(database) as conn:
        run_processor(conn, Counting(), box.root, settings=Settings())
        assert conn.execute("SELECT * FROM counted").fetchall() == [("alice", 1)]


def test_what_people_decided_outlives_reprocessing_and_a_rebuild(box):
    box.plugin("words", WORDS % (1, ""))
    box.append("alice/a.jsonl", b'{"a":1}\n')
    assert box.sessiond("scan", box.root, "--db", box.db, processors='["words"]').returncode == 0
    with open_database(box.db) as conn:
        conn.execute("INSERT INTO decided VALUES ('yes', 'alice')")
    box.plugin("words", WORDS % (2, ""))
    assert box.sessiond("scan", box.root, "--db", box.db, processors='["words"]').returncode == 0
    assert box.query("SELECT DISTINCT processor_version FROM words") == [(2,)]
    assert box.query("SELECT name FROM decided") == [("yes",)]
    rebuilt = box.sessiond("rebuild", box.root, "--db", box.db, processors='["words"]')
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert box.query("SELECT name FROM decided") == [("yes",)]
    assert box.query("SELECT * FROM longest") == [("alice", 7)]
    assert box.query("SELECT * FROM undecided") == []


def test_what_must_not_be_there_is_removed_at_the_next_start(box):
    box.plugin("words", WORDS % (1, ""))
    box.append("alice/a.jsonl", b'{"a":1}\n')
    box.append("bob/b.jsonl", b'{"b":22}\n')
    assert box.sessiond("scan", box.root, "--db", box.db, processors='["words"]').returncode == 0
    with open_database(box.db) as conn:
        conn.execute("INSERT INTO decided VALUES ('yes', 'alice'), ('no', 'bob')")
    removals = (
        """Removal("words", "username = 'alice'"), Removal("decided", "about = 'alice'", columns=("about",)),"""
    )
    box.plugin("words", WORDS % (1, removals))
    daemon = box.daemon(processors='["words"]')
    assert daemon.wait("removed", table="words")["rows"] == 1
    daemon.wait("step_taken")
    assert daemon.stop() == 0
    assert box.query("SELECT username FROM words") == [("bob",)]
    assert box.query("SELECT * FROM longest") == [("bob", 8)]
    assert box.query("SELECT * FROM decided ORDER BY name") == [("no", "bob"), ("yes", None)]


def test_a_removal_with_a_wrong_condition_makes_its_processor_unusable(box):
    class Wrong(Counting):
        removals = (Removal("lines", "nothing = 1"),)

    live = box.live(Wrong(), Other)
    assert "removal from lines" in live.wait("processor_unusable")["error"]


class Other(Counting):
    name = "other"
    tables = (Table("other_lines", {"n": "BIGINT"}),)

    def __init__(self):
        self.steps = ()

    def process(self, batch):
        return ProcessorResult()


COUNTED = OverallTable("counted", {"username": "VARCHAR", "n": "BIGINT"})


def test_a_change_that_is_written_late_is_not_there_twice(database):
    with open_database(database) as conn:
        make_tables(conn, (), overall=[COUNTED])
        change = change_to(conn, "counted", rows_of(conn, COUNTED, [("alice", 1), ("bob", None), ("alice", 1)]))
        for _ in range(2):
            changed(conn, {"counted": change})
        assert conn.execute("FROM counted ORDER BY 1").fetchall() == [("alice", 1), ("bob", None)]


def test_a_step_that_waits_for_no_time_at_all_is_not_taken_all_the_time(database):
    step = Step("s", {}, (COUNTED,), lambda _given, _stopped: StepResult(pause=PauseError("wait", float("-inf"))))
    with open_database(database) as conn:
        make_tables(conn, (), overall=[COUNTED])
        assert take_step(conn, step, lambda _changes: None, lambda: False) == (0, "wait")


def test_what_had_been_shown_of_a_session_before_does_not_come_back_by_a_removal(database):
    table = Table("topic", {"name": "VARCHAR"}, kind="one_per_session")
    with open_database(database) as conn:
        make_tables(conn, [table])
        conn.execute("""
            INSERT INTO topic_settled (session_file, name) VALUES ('a', 'old'), ('b', 'secret'), ('c', 'secret');
            INSERT INTO topic_log (session_file, name, seq)
                VALUES ('a', 'older', 1), ('a', 'secret', 2), ('b', 'new', 3)""")
        remove(conn, [table], [Removal("topic", "name = 'secret'")])
        assert conn.execute("SELECT session_file, name FROM topic").fetchall() == [("b", "new")]
        assert conn.execute("SELECT count(*) FROM topic_settled").fetchall() == [(0,)]


def test_a_removal_whose_condition_does_not_fit_a_value_is_the_processors_fault(database):
    with open_database(database) as conn:
        make_tables(conn, (), overall=[COUNTED])
        conn.execute("INSERT INTO counted VALUES ('confidential', 1)")
        with pytest.raises(ContractError) as caught:
            remove(conn, (), [Removal("counted", "username::INTEGER = 1")])
        assert "confidential" not in str(caught.value)


class Deciding(Counting):
    """Takes orders, of which most are against the contract."""

    records = (OverallTable("decided", {"what": "VARCHAR"}),)
    answer = None

    def __init__(self, work=None):
        super().__init__(work)
        self.orders = (Order("decide", (), self.decide, ("count",)),)

    def decide(self, conn, _fields, _who, at):
        conn.execute("INSERT INTO decided VALUES ('yes')")
        return self.answer(conn, at)


def leave(_conn, _at):
    raise SystemExit


def refuse(_conn, _at):
    raise OrderError("no")


@pytest.mark.parametrize(
    "answer",
    [
        lambda conn, _at: conn.commit() or {},
        lambda conn, _at: conn.execute("COMMIT") and {},
        lambda conn, _at: conn.close() or {},
        lambda _conn, _at: {"it": object()},
        lambda _conn, _at: {"it": "\ud800"},
        lambda _conn, _at: None,
        lambda _conn, _at: {}["x"],
        leave,
        refuse,
    ],
)
def test_of_an_order_that_fails_nothing_is_kept_and_nobody_else_suffers(box, line, until, answer):
    processor = Deciding()
    processor.answer = answer
    live = box.live(processor)
    control = Control(str(box.root), live.engine, live.survey)
    with pytest.raises(Exception):  # noqa: B017, PT011
        control.order("counting", "decide", {}, "carol")
    assert live.query("SELECT count(*) FROM decided") == [(0,)]
    box.append("alice/a.jsonl", line(1))
    until(lambda: live.query("SELECT count(*) FROM lines"), [(1,)])
    processor.answer = lambda _conn, at: {"at": at, "share": float("nan"), "n": 1}
    done = control.order("counting", "decide", {}, "carol")
    assert (isinstance(done["at"], str), done["share"], done["n"], done["settled"]) == (True, None, 1, True)
    assert live.query("SELECT count(*) FROM decided") == [(1,)]


def test_an_order_is_not_settled_where_its_steps_fail(box):
    processor = Deciding(lambda _given, _stopped: {}["x"])
    processor.answer = lambda _conn, _at: {}
    live = box.live(processor)
    done = Control(str(box.root), live.engine, live.survey).order("counting", "decide", {}, "carol")
    assert done == {"settled": False}
    assert live.query("SELECT * FROM decided") == [("yes",)]


def test_a_step_that_does_not_end_is_told(box, line, until, monkeypatch):
    monkeypatch.setattr("daemon.steps.LONG_SECONDS", 0.05)
    begun, go = threading.Event(), threading.Event()

    def work(_given, _stopped):
        begun.set()
        go.wait(30)
        return StepResult()

    live = box.live(Counting(work))
    try:
        assert begun.wait(30)
        until(lambda: any("step count is under way" in reason for reason in live.service._health.reasons()))
    finally:
        go.set()
    until(live.service._health.reasons, [])


@pytest.mark.parametrize("table", ["session_cursors", "counted", "other_lines"])
def test_rows_are_removed_from_a_processors_own_tables_only(table):
    class Wrong(Counting):
        removals = (Removal(table, "true"),)

    with pytest.raises(ProcessorError, match=table):
        register(Wrong())
