"""A question and its answer: known already, or asked for within the limits; and what each failure means.

Who is to blame decides what happens. The provider, the network, the key, the budget: the processor pauses, and no
session loses an attempt. This content alone: its session's run fails. The provider's word for that is not enough, as
it says the same when its settings do not fit or the credit is used up: a request that any model can answer, the
*probe*, tells one from the other.
"""

import hashlib
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from processors.contract import PauseError
from processors.verification.llm.answers import Answers
from processors.verification.llm.limits import LONGEST_PAUSE, PATIENCE, Backoff, Rate, Sleep
from processors.verification.llm.model import Answer, ExtractionError, FailureError, Model
from processors.verification.llm.options import LlmOptions, NoKeyError, check_installed
from processors.verification.llm.prompts import Prompt

T = TypeVar("T")

PROVED = 60.0
"""Seconds for which a probe that was answered proves that it is not the provider."""

_PATIENT = 2
"""How often in a row one request may break without its content being suspected."""

_SUSPECTS = 10_000
_OVERHEAD = 1_000
"""Tokens of a request that are not of its text: they mark turns, and say how a schema is followed."""


class Asking:
    """Asks one model, for all threads of a process.

    Args:
        options: which one, and the limits.
        sleep: waits for so many seconds.

    """

    def __init__(self, options: LlmOptions, sleep: Sleep = time.sleep) -> None:
        self._options = options
        self._sleep = sleep
        self.answers = Answers(
            options.answers_path(),
            daily_tokens=options.daily_tokens,
            most_bytes=options.answers_mb << 20,
            most_days=options.answers_days,
        )
        self._rate = Rate(options.requests_per_minute, sleep=sleep)
        self._backoff = Backoff()
        self._places = threading.BoundedSemaphore(options.concurrency)
        self._lock = threading.Lock()
        self._models: dict[str, Model] = {}  # by key; one that was replaced may still be asked by another thread
        self._asked: dict[str, Future[str]] = {}
        self._broke: OrderedDict[str, int] = OrderedDict()
        self._probing = threading.Lock()
        self._proved: dict[str, float] = {}

    def ask(self, prompt: Prompt, data: str, decode: Callable[[str], T]) -> T:
        """The answer to a question; the same question at the same time, or later, is asked once.

        Args:
            prompt: what to do.
            data: with what.
            decode: makes of the answer what is wanted, and raises :class:`ExtractionError` if it is no such thing:
                it is not kept then.

        Raises:
            PauseError: there can be no answer now; the reason says why and what to do.
            ExtractionError: there is none to this question.

        """
        key = self._key(prompt, data)
        with self._lock:
            asked = self._asked.get(key)
            mine = asked is None
            if asked is None:
                asked = self._asked[key] = Future()
        if not mine:
            if failed := asked.exception():
                raise _again(failed)
            return decode(asked.result())
        try:
            text, value = self._answered(key, prompt, data, decode)
        except BaseException as error:
            asked.set_exception(error)
            raise
        else:
            asked.set_result(text)
            return value
        finally:
            with self._lock:
                del self._asked[key]

    def close(self) -> None:
        """Close the connections and the file; they are opened again when something is asked."""
        with self._lock:
            while self._models:
                self._models.popitem()[1].close()
        self.answers.close()

    def _key(self, prompt: Prompt, data: str) -> str:
        options = self._options
        parts = (options.provider, options.base_url, options.model_name, prompt.version, data)
        hashed = hashlib.sha256()
        for part in parts:
            raw = part.encode()
            hashed.update(len(raw).to_bytes(8, "big") + raw)
        return hashed.hexdigest()

    def _answered(self, key: str, prompt: Prompt, data: str, decode: Callable[[str], T]) -> tuple[str, T]:
        if (known := self.answers.get(key)) is not None:
            try:
                return known, decode(known)
            except ExtractionError:
                pass  # what an answer has to be has changed since
        with self._places:
            try:
                return self._paid(key, prompt, data, decode)
            except FailureError as error:
                failure = error
        raise self._meaning(failure, key, prompt)

    def _paid(self, key: str, prompt: Prompt, data: str, decode: Callable[[str], T]) -> tuple[str, T]:
        """One request, made again if its failure may pass soon."""
        left = self._options.retries
        while True:
            try:
                hold, answer = self._request(prompt, data)
                break
            except FailureError as failure:
                wait = max(failure.after, 0.5 * 2 ** (self._options.retries - left) * random.uniform(1, 2))  # noqa: S311
                if not left or failure.kind in {"denied", "rejected"} or wait > PATIENCE:
                    raise
            left -= 1
            self._sleep(wait)
        self._backoff.succeeded()
        with self._lock:
            self._broke.pop(key, None)
        spent = answer.input_tokens + answer.output_tokens
        try:
            value = self._valid(answer, decode)
        except ExtractionError:
            self._settle(hold, spent)
            raise
        self._settle(hold, spent, key, answer.text)
        return answer.text, value

    def _valid(self, answer: Answer, decode: Callable[[str], T]) -> T:
        if answer.fault:
            raise ExtractionError(f"{self._options.place}: {answer.fault}")
        return decode(answer.text)

    def _request(self, prompt: Prompt, data: str) -> tuple[int, Answer]:
        """A request, and what is held back for it; nothing is, if it fails."""
        model = self._connected()
        self._rate.wait()
        hold = self.answers.hold(self._most(prompt, data))
        try:
            return hold, model.ask(prompt.instructions, data, prompt.schema)
        except FailureError as failure:
            self._settle(hold, 0 if failure.unpaid else None)
            raise

    def _most(self, prompt: Prompt, data: str) -> int:
        """No request of this size is billed more tokens: there is none without a byte."""
        written = sum(len(text.encode()) for text in (prompt.instructions, str(prompt.schema), data))
        return written + _OVERHEAD + self._options.max_output_tokens

    def _settle(self, hold: int, tokens: int | None, key: str = "", answer: str = "") -> None:
        """What is paid for is used, even if it cannot be kept: the next request will say so, and not be made."""
        try:
            self.answers.settle(hold, tokens, key, answer)
        except PauseError:
            return

    def _connected(self) -> Model:
        try:
            key = self._options.key()
            with self._lock:
                if key not in self._models:
                    self._models[key] = _connect(self._options, key)
                return self._models[key]
        except (NoKeyError, ValueError) as error:
            raise PauseError(str(error), LONGEST_PAUSE) from None

    def _meaning(self, failure: FailureError, key: str, prompt: Prompt) -> Exception:
        """What a failure is for the run."""
        if failure.kind == "rejected" or (failure.kind == "broken" and self._broken(key) > _PATIENT):
            return self._probe(prompt) or ExtractionError(
                f"{self._options.place}: {failure.what} for this content; it answers others"
            )
        return self._pause(failure)

    def _broken(self, key: str) -> int:
        with self._lock:
            self._broke[key] = count = self._broke.pop(key, 0) + 1
            if len(self._broke) > _SUSPECTS:
                self._broke.popitem(last=False)
        return count

    def _probe(self, prompt: Prompt) -> PauseError | None:
        """Why the provider does not answer at all; None if it does."""
        with self._probing:
            if time.monotonic() < self._proved.get(prompt.version, 0):
                return None
            try:
                with self._places:
                    hold, answer = self._request(prompt, prompt.probe)
                self._settle(hold, answer.input_tokens + answer.output_tokens)
            except FailureError as failure:
                return self._pause(failure)
            self._proved[prompt.version] = time.monotonic() + PROVED
            return None

    def _pause(self, failure: FailureError) -> PauseError:
        if failure.kind not in {"denied", "rejected"}:
            seconds = max(self._backoff.failed(), failure.after)
            return PauseError(f"{self._options.place} does not answer now: {failure.what}", seconds)
        return PauseError(
            f"{self._options.place} refuses every request: {failure.what}. Check provider, model, base_url, the key, "
            "and the account's credit",
            LONGEST_PAUSE,
        )


_LOCK = threading.Lock()
_ASKING: dict[LlmOptions, Asking] = {}


def asking(options: LlmOptions) -> Asking:
    """The one that asks with these options in this process: limits are shared by all who have the same."""
    with _LOCK:
        if options not in _ASKING:
            _ASKING[options] = Asking(options)
        return _ASKING[options]


def close() -> None:
    """Close all connections and files; what is asked later opens its own."""
    with _LOCK:
        for one in _ASKING.values():
            one.close()
        _ASKING.clear()


def _connect(options: LlmOptions, key: str) -> Model:
    """The model; its provider's client is imported here, at its first use."""
    check_installed(options)
    if options.provider == "anthropic":
        from processors.verification.llm.anthropic_model import AnthropicModel  # noqa: PLC0415

        return AnthropicModel(options, key)
    from processors.verification.llm.openai_model import OpenaiModel  # noqa: PLC0415

    return OpenaiModel(options, key)


def _again(error: BaseException) -> BaseException:
    """The same error for another thread, whose traceback is its own."""
    if isinstance(error, PauseError):
        return PauseError(error.reason, error.seconds)
    if isinstance(error, ExtractionError):
        return ExtractionError(*error.args)
    return RuntimeError(f"the same question failed at the same time in another thread: {type(error).__name__}")
