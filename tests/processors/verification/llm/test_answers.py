"""The cache and the day's tokens: what survives what, and who may spend how much."""

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.contract import PauseError
from processors.verification.llm import LlmOptions
from processors.verification.llm.answers import DAY, Answers
from processors.verification.model import Window
from tests.processors.verification.llm.wire import Fault

NOON = 20_000 * DAY + DAY / 2
WINDOW = Window((), "our convention is tabs")


class Clock:
    def __init__(self, now=NOON):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def opened(tmp_path, clock):
    """Opens the file, as one process more."""
    made = []

    def make(daily_tokens=1000, **more):
        made.append(
            Answers(tmp_path / "of" / "answers.sqlite", daily_tokens=daily_tokens, clock=clock, patience=0.2, **more)
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def store(answers, key, answer, tokens=1):
    answers.settle(answers.hold(tokens), tokens, key, answer)


def test_an_answer_is_known_to_all_and_after_a_restart(opened):
    first, second = opened(), opened()
    store(first, "k", "a")
    assert (first.get("k"), second.get("k"), second.get("other")) == ("a", "a", None)
    first.close()
    assert opened().get("k") == "a"


def test_nobody_else_can_read_it(opened, tmp_path):
    store(opened(), "k", "a")
    for path in (tmp_path / "of", *(tmp_path / "of").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_what_is_held_back_is_not_there_for_others(opened):
    first, second = opened(), opened()
    hold = first.hold(600)
    with pytest.raises(PauseError, match="under way") as raised:
        second.hold(600)
    assert raised.value.seconds == 30
    first.settle(hold, 10)
    second.settle(second.hold(600), 600)
    assert first.spent() == 610


def test_what_a_process_that_died_held_back_is_spent(opened, clock):
    opened().hold(600)
    clock.now += 1000
    with pytest.raises(PauseError, match="after midnight") as raised:
        opened().hold(600)
    assert raised.value.seconds == DAY / 2 - 1000 + 1


def test_it_goes_on_after_midnight(opened, clock):
    answers = opened()
    answers.settle(answers.hold(900), 900)
    late = answers.hold(100)
    with pytest.raises(PauseError, match=r"900 of daily_tokens, 1,000, are used") as raised:
        answers.hold(101)
    clock.now += raised.value.seconds
    answers.settle(answers.hold(1000), 400)
    assert answers.spent() == 400
    answers.settle(late, 100)
    assert answers.spent() == 400, "it is of the day before"


def test_what_is_not_known_counts_as_held_back(opened):
    answers = opened()
    answers.settle(answers.hold(300), None)
    assert answers.spent() == 300


def test_a_limit_that_no_request_fits_in_says_so(opened):
    with pytest.raises(PauseError, match=r"daily_tokens, 1,000, is less than one request may need, 1,001"):
        opened().hold(1001)


@settings(max_examples=25)  # each of them waits for the disk
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 100), st.booleans()), max_size=40))
def test_a_day_is_never_exceeded(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("answers") / "a.sqlite"
    ours = [Answers(path, daily_tokens=1000, clock=Clock()) for _ in range(2)]
    used, holds = 0, []
    for number, (most, share, settles) in enumerate(steps):
        answers = ours[number % 2]
        try:
            holds.append((answers.hold(most), most))
        except PauseError:
            assert used + sum(held for _, held in holds) + most > 1000
        if settles and holds:
            hold, held = holds.pop(0)
            answers.settle(hold, held * share // 100)
            used += held * share // 100
        assert answers.spent() == used + sum(held for _, held in holds) <= 1000
    for answers in ours:
        answers.close()


def test_many_threads_at_once(opened):
    ours = [opened(daily_tokens=500) for _ in range(4)]
    for answers in ours:
        answers._patience = 20

    def spend(number):
        answers = ours[number % 4]
        try:
            hold = answers.hold(10)
        except PauseError:
            return 0
        answers.settle(hold, 10, f"{number}", "a")
        return 10

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(spend, range(100))) == ours[0].spent() == 500


def test_old_answers_go(opened, clock):
    answers = opened(most_days=10)
    store(answers, "old", "a")
    clock.now += 6 * DAY
    store(answers, "new", "b")
    clock.now += 5 * DAY
    assert (answers.get("old"), answers.get("new")) == (None, "b"), "it is not used, though still there"
    answers.prune()
    clock.now -= 5 * DAY
    assert answers.get("old") is None


def test_it_does_not_grow_beyond_its_size(opened, clock, tmp_path):
    answers = opened(daily_tokens=10**9, most_bytes=200_000)
    for number in range(600):
        clock.now += 1
        store(answers, f"{number}", "x" * 2000)
    answers.prune()
    answers.close()
    assert (tmp_path / "of" / "answers.sqlite").stat().st_size <= 200_000
    again = opened()
    assert again.get("0") is None
    assert again.get("599") is not None


def test_a_damaged_file(opened, tmp_path):
    (tmp_path / "of").mkdir()
    (tmp_path / "of" / "answers.sqlite").write_bytes(b"not a database, " * 1000)
    answers = opened()
    with pytest.raises(PauseError, match=r"answers\.sqlite: it is damaged.* move it away") as raised:
        answers.hold(1)
    assert raised.value.seconds == 600
    (tmp_path / "of" / "answers.sqlite").unlink()
    assert answers.hold(1)


def test_a_locked_file(opened, tmp_path):
    answers = opened()
    store(answers, "k", "a")
    other = sqlite3.connect(tmp_path / "of" / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(PauseError, match="another process has it locked") as raised:
        answers.hold(1)
    assert raised.value.seconds == 30
    assert answers.get("k") == "a"
    other.execute("ROLLBACK")
    other.close()
    assert answers.hold(1)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    answers = Answers(tmp_path / "file" / "answers.sqlite", daily_tokens=1)
    with pytest.raises(PauseError, match="it cannot be opened"):
        answers.get("k")


def test_a_full_disk(opened):
    answers = opened()
    store(answers, "k", "a")
    answers._conn.execute("PRAGMA max_page_count = 10")
    with pytest.raises(PauseError, match=r"it cannot be written \(SQLITE_FULL\)"):
        answers.settle(answers.hold(1), 1, "big", "x" * 100_000)
    assert answers.get("k") == "a"


def test_what_is_paid_for_is_used_though_it_cannot_be_kept(model_server, extractor):
    asked = extractor()
    asked.extract(WINDOW)
    asked._asking.answers._conn.execute("PRAGMA max_page_count = 10")
    item = {"detection_type": "correction", "title": "t", "content": "c" * 500, "user_quote": "q", "domain": "data"}
    model_server.answers = lambda _: {"items": [{**item, "entities": ["e" * 30_000]}]}
    assert len(asked.extract(Window((), "big"))) == 1


def test_a_day_without_tokens_asks_nothing(model_server, extractor, again, options):
    extractor().extract(WINDOW)
    frugal = again(options(daily_tokens=0))
    assert frugal.extract(WINDOW) == [], "what is known is used"
    with pytest.raises(PauseError, match="daily_tokens"):
        frugal.extract(Window((), "new"))
    assert len(model_server.received) == 1


def test_a_new_model_is_asked_anew(model_server, extractor, again, options):
    extractor().extract(WINDOW)
    for more in ({"model": "another"}, {"timeout": 6.0}):
        again(options(**more)).extract(WINDOW)
    assert [received.body["model"] for received in model_server.received] == ["test-model", "another"]


def test_an_answer_is_billed_no_more_than_is_held_back(model_server, extractor, spent):
    asked = extractor()
    for text in ("", "x" * 10_000, "\U0001f600" * 10_000):
        window = Window((), f"{text}?")
        before = spent(asked)
        model_server.fault = lambda _: Fault(how="broken")
        with pytest.raises(PauseError):
            asked.extract(window)
        held = (spent(asked) - before) // 3
        (sent,) = {received.data for received in model_server.received[-3:]}
        assert held >= len(sent.encode()) + len(model_server.received[0].instructions.encode()) + 8192


def test_a_thread_that_is_abandoned_keeps_nothing_from_others(model_server, extractor):
    asked = extractor()
    model_server.gate.clear()
    thread = threading.Thread(target=asked.extract, args=(WINDOW,), daemon=True)
    thread.start()
    assert model_server.waiting.wait(10)
    assert asked._asking.answers.get("any") is None
    model_server.gate.set()
    thread.join(10)
    assert not thread.is_alive()


def test_options_are_given_to_another_process_as_they_are(options):
    assert msgspec.json.decode(msgspec.json.encode(options()), type=LlmOptions) == options()
