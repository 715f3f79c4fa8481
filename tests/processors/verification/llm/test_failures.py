"""Each kind of failure: who waits, who is to blame, what is asked again, and what is said of it."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from processors.contract import PauseError
from processors.verification.llm import ExtractionError
from processors.verification.llm.limits import LONGEST_PAUSE
from processors.verification.model import Said, Window
from tests.processors.verification.llm.server import KEY, PROBE
from tests.processors.verification.llm.wire import Fault

SECRET = "the secret of the content"
WINDOW = Window((Said("assistant", f"{SECRET} one"),), f"{SECRET} two")
PAST = "Wed, 21 Oct 2015 07:28:00 GMT"
ANOTHER = Window((), "another one")


def echoed(status, kind="api_error", **headers):
    """An error in whose message a provider repeats what it was sent."""
    return Fault(
        status, kind, f"bad: {SECRET} {KEY}", {name.replace("_", "-"): text for name, text in headers.items()}
    )


def raised(kind, extract, window=WINDOW):
    """The error of asking, which says nothing of what was asked."""
    with pytest.raises(kind) as caught:
        extract(window)
    error = caught.value
    for text in (str(error), repr(error)):
        assert SECRET not in text
        assert KEY not in text
    assert error.__context__ is None or error.__suppress_context__
    return error


PASSING = {
    "busy": echoed(429, "rate_limit_error", retry_after="3"),
    "failed": echoed(500),
    "bad gateway": echoed(502),
    "unavailable": echoed(503),
    "overloaded": echoed(529, "overloaded_error"),
    "timed out there": echoed(408, "timeout_error"),
    "conflict": echoed(409),
    "cut": Fault(how="cut"),
    "no protocol": Fault(how="broken"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_asked_again(model_server, extractor, fault):
    model_server.faults.extend([fault, fault])
    asked = extractor()
    assert asked.extract(WINDOW) == []
    assert len(model_server.received) == 3
    assert len(asked.waited) == 2
    if fault.status == 429:
        assert min(asked.waited) == 3.0


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_does_not_pass_pauses_the_processor(model_server, extractor, fault):
    model_server.fault = lambda _: fault
    asked = extractor(retries=1)
    error = raised(PauseError, asked.extract)
    assert len(model_server.received) == 2
    assert error.seconds == 30
    if fault.status != 200:
        assert f"HTTP {fault.status} {fault.kind}" in error.reason


def test_pauses_grow_and_end_with_an_answer(model_server, extractor):
    asked = extractor(retries=0)
    now = 0.0
    asked._asking._backoff._clock = lambda: now
    model_server.fault = lambda received: None if received.prompt == "fine" else echoed(503)
    pauses = []
    for _ in range(6):
        pauses.append(raised(PauseError, asked.extract).seconds)
        now += pauses[-1]
    assert pauses == [30, 60, 120, 240, 480, 600]
    asked.extract(Window((), "fine"))
    assert raised(PauseError, asked.extract).seconds == 30
    assert raised(PauseError, asked.extract).seconds == 30, "within the pause it is the same failure"


@pytest.mark.parametrize(
    ("said", "seconds"), [("100", 100), ("99999999", 3600), ("nan", 30), ("soon", 30), (PAST, 30)]
)
def test_a_wait_that_the_server_asks_for_is_the_processors(model_server, extractor, said, seconds):
    model_server.fault = lambda _: echoed(429, retry_after=said)
    asked = extractor()
    assert raised(PauseError, asked.extract).seconds == seconds
    assert len(model_server.received) == (3 if seconds == 30 else 1), "it is not waited for in a run"


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_an_answer_that_does_not_end_in_time_is_none(model_server, extractor, spent, how):
    model_server.fault = lambda _: Fault(how=how)
    asked = extractor(retries=0, timeout=1.0)
    error = raised(PauseError, asked.extract)
    assert "Timeout" in error.reason
    assert spent(asked) > 5000, "it may be billed"


def test_nobody_at_the_address(model_server, extractor, spent):
    base = "http://127.0.0.1:9"  # discard, where nothing listens
    asked = extractor(base_url=base)
    error = raised(PauseError, asked.extract)
    assert (error.seconds, spent(asked)) == (30, 0)
    assert "127.0.0.1:9" in error.reason
    assert len(asked.waited) == 2


@pytest.mark.parametrize("status", [401, 402, 403, 404, 307])
def test_what_is_denied_is_for_the_operator(model_server, extractor, spent, status):
    model_server.fault = lambda _: echoed(status, "permission_error", location="http://127.0.0.1:9/v1/messages")
    asked = extractor()
    error = raised(PauseError, asked.extract)
    assert error.seconds == LONGEST_PAUSE
    assert "Check provider, model, base_url, the key" in error.reason
    assert f"HTTP {status} permission_error" in error.reason
    assert (len(model_server.received), spent(asked), asked.waited) == (1, 0, [])


def test_a_key_that_is_corrected_is_used(model_server, extractor, monkeypatch):
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, "wrong")
    asked = extractor()
    assert "HTTP 401 authentication_error" in raised(PauseError, asked.extract).reason
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    assert asked.extract(WINDOW) == []


def test_a_model_that_is_unknown(model_server, extractor):
    model_server.model = "another"
    assert "test-model" in raised(PauseError, extractor().extract).reason


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_content_that_is_refused_fails_alone(model_server, extractor, spent, status):
    model_server.fault = lambda received: echoed(status) if received.prompt == WINDOW.prompt else None
    asked = extractor()
    assert f"HTTP {status}" in str(raised(ExtractionError, asked.extract))
    assert [received.prompt for received in model_server.received] == [WINDOW.prompt, PROBE]
    assert asked.extract(ANOTHER) == []
    raised(ExtractionError, asked.extract)
    assert len(model_server.received) == 4, "that it answers is known for a while"
    assert spent(asked) == 240


@pytest.mark.parametrize("status", [400, 422])
def test_settings_that_do_not_fit_are_no_contents_fault(model_server, extractor, status):
    model_server.fault = lambda _: echoed(status, "invalid_request_error")
    asked = extractor()
    error = raised(PauseError, asked.extract)
    assert error.seconds == LONGEST_PAUSE
    assert f"refuses every request: HTTP {status} invalid_request_error" in error.reason
    assert [received.prompt for received in model_server.received] == [WINDOW.prompt, PROBE]
    model_server.fault = lambda _: None
    assert asked.extract(WINDOW) == []


def test_a_probe_that_fails_in_passing_blames_nobody(model_server, extractor):
    model_server.faults.extend([echoed(400), echoed(529)])
    assert raised(PauseError, extractor().extract).seconds == 30


@pytest.mark.parametrize("fault", [echoed(500), Fault(how="cut"), Fault(how="broken")])
def test_a_content_that_breaks_the_server_does_not_pause_the_processor_for_ever(model_server, extractor, fault):
    model_server.fault = lambda received: fault if received.prompt == WINDOW.prompt else None
    asked = extractor(retries=0)
    raised(PauseError, asked.extract)
    raised(PauseError, asked.extract)
    raised(ExtractionError, asked.extract)
    assert model_server.received[-1].prompt == PROBE


def test_a_server_that_is_broken_stays_the_one_to_blame(model_server, extractor):
    model_server.fault = lambda _: echoed(500)
    asked = extractor(retries=0)
    for _ in range(5):
        raised(PauseError, asked.extract)


@pytest.mark.parametrize("body", ["x" * 20_000_000, "[" * 1_000_000], ids=["long", "deep"])
def test_a_response_that_is_too_much_is_none(model_server, extractor, body):
    model_server.fault = lambda _: Fault(how="text", text=body)
    with pytest.raises((PauseError, ExtractionError)):
        extractor(retries=0).extract(WINDOW)


def test_the_clients_logs_hold_nothing_of_what_is_sent(model_server, extractor, caplog):
    model_server.faults.extend([echoed(500), echoed(429, retry_after="0")])
    with caplog.at_level(logging.DEBUG):
        extractor().extract(WINDOW)
    assert SECRET not in caplog.text
    assert KEY not in caplog.text


def test_the_same_question_at_the_same_time_is_asked_once(model_server, extractor, spent):
    asked = extractor()
    model_server.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(asked.extract, WINDOW) for _ in range(8)]
        assert model_server.waiting.wait(10)
        model_server.gate.set()
        assert [one.result() for one in found] == [[]] * 8
    assert len(model_server.received) == 1
    assert spent(asked) == 120


def test_who_waits_for_the_same_question_fails_as_it_does(model_server, extractor):
    asked = extractor(retries=0)
    model_server.fault = lambda _: echoed(503)
    model_server.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(asked.extract, WINDOW) for _ in range(4)]
        assert model_server.waiting.wait(10)
        model_server.gate.set()
        errors = [one.exception() for one in found]
    assert {type(error) for error in errors} == {PauseError}
    assert len({id(error) for error in errors}) == 4


def test_no_more_at_once_than_may_be(model_server, extractor):
    asked = extractor(concurrency=2)
    begun = threading.Barrier(6)

    def ask(number):
        begun.wait()
        return asked.extract(Window((), f"{number}"))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [[]] * 6
    assert model_server.most_at_once <= 2
    assert len(model_server.received) == 6


def test_more_requests_than_a_minute_may_have_pause_the_processor(model_server, extractor):
    asked = extractor(requests_per_minute=2)
    asked.extract(WINDOW)
    asked.extract(ANOTHER)
    error = raised(PauseError, asked.extract, Window((), "third"))
    assert 20 < error.seconds <= 60
    assert asked.extract(WINDOW) == [], "what is known needs no request"


def test_the_clients_package_is_missing(extractor, monkeypatch):
    monkeypatch.setattr("processors.verification.llm.options.find_spec", lambda _: None)
    error = raised(PauseError, extractor().extract)
    assert "pip install 'sessiond[llm]'" in error.reason
