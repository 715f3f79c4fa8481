"""A processor in a process of its own, without a daemon: same results as in a thread, and its ends are its own."""

import itertools
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import isolated, open_database
from daemon.config import Settings
from daemon.errors import NotStartedError, OverBudgetError, describe
from daemon.isolated import InProcess, InThread, host_of
from daemon.processing import MOST_CARRY_BYTES, Lines, ProcessorFailedError, cause_of
from daemon.tables import make_tables
from daemon.wire import MOST_BYTES
from processors.registry import register
from processors.usage import UsageProcessor

AT = datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None)
KEY = "alice/a.jsonl"
RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "sessions"

# What a line says is run, and its value is the result.
EVALUATES = """
import ctypes, datetime, decimal, os, resource, signal, subprocess, sys, time, uuid
from processors import ProcessorResult, Table

MANY = {
    "i": "BIGINT", "t": "VARCHAR", "f": "DOUBLE", "d": "DECIMAL(18, 3)", "u": "UUID", "j": "JSON",
    "e": "ENUM('a', 'b')", "b": "BLOB", "day": "DATE", "at": "TIMESTAMP", "zone": "TIMESTAMPTZ", "ok": "BOOLEAN",
    "l": "INTEGER[]", "s": "STRUCT(x INTEGER, y VARCHAR)", "h": "HUGEINT", "m": "MAP(VARCHAR, INTEGER)",
}

class P:
    name = "evaluates"
    version = 1
    tables = (
        Table("many", MANY, key=("i",)),
        Table("latest", {"n": "BIGINT"}, kind="one_per_session"),
        Table("bare", {}),
    )
    budget_seconds = 30

    def process(self, batch):
        for line in batch.lines:
            result = eval(line, globals(), {"batch": batch, "self": self})
        return result

def rows(**tables):
    return ProcessorResult(rows=tables)

def fails(error):
    raise error

def hoard():
    kept = []
    while len(kept) < 4000:
        kept.append(bytearray(1 << 20))
"""


class Sides:
    """The same processor in a thread and in a process."""

    def __init__(self, conn, spec, **named):
        self.tables = make_tables(conn, spec.tables)
        self.conn = conn
        self.spec = replace(spec, isolation="process")
        self.thread = host_of(spec, self.tables)
        self.process = host_of(self.spec, self.tables, **named)
        assert (type(self.thread), type(self.process)) == (InThread, InProcess)

    def run(self, host, *lines, carry=None, key=KEY):
        data = b"".join(line.encode() + b"\n" for line in lines)
        return host.process(Lines(key, data, is_first=carry is None, carry=carry), AT)

    def error(self, host, *lines):
        with pytest.raises(ProcessorFailedError) as caught:
            self.shown(self.run(host, *lines))
        return describe(cause_of(caught.value))

    def shown(self, given):
        """All of it, the rows as they get to the database."""
        rows = {name: self._arrow(name, part) for name, part in given.rows.items()}
        updates = {name: [self._arrow(name, part) for part in parts] for name, parts in given.updates.items()}
        return replace(given, rows=rows, updates=updates)

    def _arrow(self, name, part):
        try:
            table = self.tables[name].arrow([part])
        except Exception as error:  # as the writer would find it
            raise ProcessorFailedError from error
        return table.schema, table.to_pylist(), len(part)

    def pid(self):
        (row,) = self.run(self.process, "rows(latest=[(os.getpid(),)])").rows["latest"].columns["n"].to_pylist()
        return row


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The module with the processor, which another process finds as this one does."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "evaluates.py").write_text(EVALUATES)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("evaluates", None)


@pytest.fixture
def spec(place):
    return register(__import__("evaluates").P)


@pytest.fixture(scope="module")
def shared_sides(place, tmp_path_factory):
    with open_database(tmp_path_factory.mktemp("db") / "x.duckdb") as conn:
        sides = Sides(conn, register(__import__("evaluates").P))
        yield sides
        sides.process.close()


@pytest.fixture
def sides(spec, conn):
    """Both, for a test that ends the process."""
    sides = Sides(conn, spec)
    yield sides
    sides.process.close()


def ended(pid):
    """Whether there is no such process any more, or only what is left for its parent to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(probe, seconds=30):
    ends, pause = time.monotonic() + seconds, threading.Event()
    while not probe():
        assert time.monotonic() < ends
        pause.wait(0.01)


VALUES = """
    [(1, 'x', 0.5, decimal.Decimal('1.250'), uuid.UUID(int=7), '{"a": 1}', 'a', b'\\x00\\xff',
    datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5, 6), datetime.datetime(2026, 1, 2,
    tzinfo=datetime.UTC), True, [1, None],
    {'x': 1, 'y': 'z'}, 2**100, {'k': 1}), (None,) * 16, (2, '\\u2028\\0é', float('nan'), 3, 'b' * 8, None, 'b', b'',
    None, None, None, False, [], None, -1, [('k', 2)])]
"""


@pytest.mark.parametrize(
    "line",
    [
        f"rows(many={VALUES})",
        "rows(many=[{'i': 1}, {'t': 'x'}])",
        "rows(many={'i': [1, 2], 'f': [None, 1.5]})",
        "rows(many=[], latest=[])",
        "rows(latest=[(1,), (2,), (3,)])",
        "rows(bare=[(), (), ()])",
        "ProcessorResult(7, updates={'many': [{'i': 1, 't': 'x'}, {'i': 2, 't': 'y'}, {'i': 3, 'f': 0.5}]})",
        "ProcessorResult(1, carry={'a': [1, None, b'x', 'é']}, ratios={'odd\\n': (1, 2)})",
        "ProcessorResult(True)",
        "ProcessorResult(carry=[batch.carry, batch.is_first, batch.session_key, batch.username])",
    ],
)
def test_what_it_gives_is_the_same(shared_sides, line):
    one_line = " ".join(line.split())
    first, second = (
        shared_sides.shown(shared_sides.run(host, one_line)) for host in (shared_sides.thread, shared_sides.process)
    )
    assert repr(first) == repr(second)
    assert first.lines + first.malformed == 1


@pytest.mark.parametrize(
    "line",
    [
        "fails(ValueError('poison'))",
        "fails(OSError(2, 'poison'))",
        "fails(SystemExit(3))",
        "fails(StopIteration)",
        "fails(RecursionError)",
        "[1]",
        "None",
        "rows(elsewhere=[(1,)])",
        "ProcessorResult(-1)",
        "ProcessorResult(ratios={'a': 1})",
        "ProcessorResult(ratios=[1])",
        "ProcessorResult(rows=5)",
        "ProcessorResult(carry=object())",
        "rows(many=[(1,)])",
        "rows(many=[{'nosuch': 1}])",
        "rows(many=[{'i': 'poison'}])",
        "rows(many=[{'i': 1.5}])",
        "rows(many=[{'day': 'poison'}])",
        "rows(latest=[(2**70,)])",
        "ProcessorResult(updates={'many': [{'t': 'x'}]})",
        "ProcessorResult(updates={'many': [{'i': 'poison'}]})",
        "rows(many=[{'u': type('Odd', (), {'__str__': lambda self: fails(KeyError('poison'))})()}])",
        "eval('1 +')",
    ],
)
def test_how_it_fails_is_the_same(shared_sides, line):
    before = shared_sides.pid()
    told = shared_sides.error(shared_sides.process, line)
    assert told == shared_sides.error(shared_sides.thread, line)
    assert "poison" not in told
    assert shared_sides.pid() == before  # and it goes on


def test_a_carry_that_does_not_fit_fails_the_same(shared_sides):
    told = []
    for host in (shared_sides.thread, shared_sides.process):
        with pytest.raises(ProcessorFailedError) as caught:
            shared_sides.run(host, "ProcessorResult()", carry=b"\xc1")
        told.append(describe(cause_of(caught.value)))
    assert told[0] == told[1]


@pytest.fixture(scope="module")
def usage_sides(tmp_path_factory):
    with open_database(tmp_path_factory.mktemp("db") / "x.duckdb") as conn:
        sides = Sides(conn, register(UsageProcessor))
        yield sides
        sides.process.close()


def recorded_lines():
    if not RECORDED.is_dir():
        pytest.skip(f"NOT TESTED: the recorded sessions are not there: {RECORDED}")
    paths = sorted(RECORDED.rglob("*.jsonl"), key=lambda path: path.stat().st_size)
    return [path.read_bytes().split(b"\n")[:-1] for path in paths[len(paths) // 2 :][:12]]


@settings(max_examples=25)
@given(st.data())
def test_usage_gives_the_same_however_a_session_is_cut(usage_sides, data):
    lines = data.draw(st.sampled_from(recorded_lines()), label="session")[:400]
    edges = sorted({0, len(lines), *data.draw(st.lists(st.integers(0, len(lines)), max_size=6), label="cuts")})
    carries = [None, None]
    for start, end in itertools.pairwise(edges):
        content, found = b"".join(line + b"\n" for line in lines[start:end]), []
        for number, host in enumerate((usage_sides.thread, usage_sides.process)):
            given = host.process(Lines(KEY, content, is_first=start == 0, carry=carries[number]), AT)
            carries[number] = given.carry
            found.append(repr(usage_sides.shown(given)))
        assert found[0] == found[1]
        assert carries[0] == carries[1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("os._exit(9)", "its process has ended with code 9"),
        ("os._exit(0)", "its process has ended with code 0"),
        ("ctypes.string_at(0)", "its process was ended by SIGSEGV"),
        ("os.abort()", "its process was ended by SIGABRT"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process was ended by SIGKILL"),
        ("(os._exit(7) if os.fork() else time.sleep(600))", "its process has ended with code 7"),
        ("(os.closerange(3, 100), time.sleep(600))", "its process gave the end"),
    ],
)
def test_the_end_of_its_process_is_a_failure_and_the_next_run_has_a_new_one(shared_sides, line, told):
    pid = shared_sides.pid()
    assert shared_sides.error(shared_sides.process, line) == told
    assert ended(pid)
    assert shared_sides.pid() != pid


def test_one_that_answers_nonsense_has_failed(shared_sides):
    for nonsense in ("b'garbage!'", "b'\\xff' * 8", "(3).to_bytes(8) + b'abc'"):
        write = f"[os.write(fd, {nonsense}) for fd in range(3, 20) if os.path.exists(f'/proc/self/fd/{{fd}}')"
        write += " and os.readlink(f'/proc/self/fd/{fd}').startswith('socket:')]"
        assert "its process gave" in shared_sides.error(shared_sides.process, f"({write}, time.sleep(600))")


def test_a_run_over_its_budget_is_killed_with_all_that_it_has_started(shared_sides):
    shared_sides.process._spec = replace(shared_sides.spec, budget_seconds=0.5)
    pid = shared_sides.pid()
    line = (
        "(subprocess.Popen(['sleep', '600']), signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)), time.sleep(60))"
    )
    with pytest.raises(ProcessorFailedError) as caught:
        shared_sides.run(shared_sides.process, line)
    assert isinstance(cause_of(caught.value), OverBudgetError)
    assert cause_of(caught.value).seconds >= 0.5
    wait_for(lambda: not members(pid))
    shared_sides.process._spec = shared_sides.spec
    assert shared_sides.pid() != pid


def members(group):
    """The processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def test_it_may_be_killed_from_another_thread_and_nothing_is_begun_after_that(sides, tmp_path):
    pid, failed, begun = sides.pid(), [], tmp_path / "begun"
    line = f"(open({str(begun)!r}, 'w').close(), time.sleep(600))"
    running = threading.Thread(target=lambda: failed.append(sides.error(sides.process, line)))
    running.start()
    wait_for(begun.exists)
    sides.process.kill()
    running.join(30)
    assert failed
    assert ended(pid)
    with pytest.raises(NotStartedError):
        sides.process.start()


def test_it_is_killed_when_the_thread_that_has_started_it_is_gone(sides):
    pids = []
    worker = threading.Thread(target=lambda: pids.append(sides.pid()))
    worker.start()
    worker.join()
    wait_for(lambda: ended(pids[0]))


def test_more_memory_than_allowed_is_a_failure_and_what_is_full_is_replaced(conn, spec):
    sides = Sides(conn, spec, memory=1 << 30)
    pid = sides.pid()
    assert sides.error(sides.process, "hoard()").startswith("MemoryError at evaluates.py:")
    assert sides.pid() != pid
    # What one run leaves behind is not the next one's failure for ever.
    line = "ProcessorResult() if globals().setdefault('kept', []).append(bytearray(500 << 20)) is None else 0"
    sides.run(sides.process, line)
    assert sides.error(sides.process, line).startswith("MemoryError")
    sides.run(sides.process, line)
    sides.process.close()


def test_less_memory_than_it_needs_to_begin_is_said(conn, spec):
    sides = Sides(conn, spec, memory=1 << 20)
    with pytest.raises(NotStartedError, match="isolation_memory is too little"):
        sides.pid()
    sides.process.close()


def test_a_limit_that_the_daemon_has_for_queries_is_not_inherited(sides):
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (64 << 30, before[1]))
    try:
        sides.process.start()
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
    found = sides.run(sides.process, "ProcessorResult(carry=list(resource.getrlimit(resource.RLIMIT_DATA)))")
    here = sides.run(sides.thread, f"ProcessorResult(carry=[{before[1]}] * 2)")
    assert found.carry == here.carry


def test_it_has_no_descriptors_but_its_own_and_nothing_that_it_prints_is_seen(shared_sides, capfd):
    with Path(__file__).open("rb") as mine:
        os.set_inheritable(mine.fileno(), True)
        line = "ProcessorResult(carry=[os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
        line += " if os.path.exists(f'/proc/self/fd/{fd}')])"
        found = shared_sides.spec.decode_carry(shared_sides.run(shared_sides.process, line).carry)
    assert sorted(name.partition(":")[0] for name in found if name != "/dev/null") == ["socket"]
    noise = "(print('poison', flush=True), print('poison', file=sys.stderr, flush=True), os.write(1, b'poison'), "
    noise += "os.write(2, b'poison'), ProcessorResult(carry=sys.stdin.read()))[-1]"
    assert shared_sides.spec.decode_carry(shared_sides.run(shared_sides.process, noise).carry) == ""
    assert capfd.readouterr() == ("", "")


def test_what_stops_the_daemon_does_not_stop_it(shared_sides):
    pid = shared_sides.pid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert shared_sides.pid() == pid
    # And what it starts is stopped as usual.
    line = "ProcessorResult(carry=(sleep := subprocess.Popen(['sleep', '600'])).terminate() or sleep.wait())"
    assert shared_sides.spec.decode_carry(shared_sides.run(shared_sides.process, line).carry) == -signal.SIGTERM


def test_one_that_ends_while_nothing_runs_is_nobodys_failure(shared_sides):
    pid = shared_sides.pid()
    os.kill(pid, signal.SIGKILL)
    wait_for(partial(isolated._has_ended, shared_sides.process._process))
    assert shared_sides.pid() != pid


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: "raise KeyError('poison')\n" + text, "its process cannot load it: KeyError at evaluates.py:1"),
        (lambda text: "import os; os._exit(4)\n" + text, "while it was loaded, its process has ended with code 4"),
        (
            lambda text: text.replace("version = 1", "version = 2"),
            "as it was when the daemon began: restart it",
        ),
        (lambda text: text.replace('"i": "BIGINT"', '"i": "INTEGER"'), "is not as it was when the daemon began"),
        (lambda text: text.replace("class P", "class Q"), "its process cannot load it"),
    ],
)
def test_one_that_cannot_be_loaded_is_no_failure_of_a_session(sides, place, change, told):
    try:
        (place / "evaluates.py").write_text(change(EVALUATES))
        with pytest.raises(NotStartedError) as caught:
            sides.pid()
        assert told in str(caught.value)
        assert "poison" not in str(caught.value)
    finally:
        (place / "evaluates.py").write_text(EVALUATES)
    with pytest.raises(NotStartedError) as again:
        sides.pid()  # it is not even tried
    assert again.value is caught.value


def test_one_that_could_not_be_loaded_is_when_it_can_be(sides, place, monkeypatch):
    monkeypatch.setattr(isolated, "AGAIN_SECONDS", 0.0)
    try:
        (place / "evaluates.py").write_text("raise ValueError")
        with pytest.raises(NotStartedError):
            sides.pid()
    finally:
        (place / "evaluates.py").write_text(EVALUATES)
    assert sides.pid() > 0


def test_one_that_does_not_get_ready_is_given_up(sides, place, monkeypatch):
    monkeypatch.setattr(isolated, "START_SECONDS", 0.5)
    try:
        (place / "evaluates.py").write_text("import time; time.sleep(600)")
        with pytest.raises(NotStartedError, match="not ready"):
            sides.pid()
    finally:
        (place / "evaluates.py").write_text(EVALUATES)
    assert sides.process._process is None


@pytest.mark.parametrize("setting", ["chunk_bytes", "line_limit_bytes"])
def test_the_most_that_can_be_set_fits_into_a_message(setting):
    (most,) = (limit.le for limit in Settings.model_fields[setting].metadata if hasattr(limit, "le"))
    assert most + MOST_CARRY_BYTES + (1 << 20) < MOST_BYTES
