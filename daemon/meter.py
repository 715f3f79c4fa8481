"""What the daemon has done since it began, in numbers: a listener, and rates over the last minute."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from daemon.cursor import utc_now
from daemon.events import Level

WINDOW_SECONDS = 60
NEWEST = 20
TROUBLES = 100
_SUMMED = ("sessions", "lines", "malformed", "items", "bytes", "runs", "rows", "files", "found")
_RATES = (("processed", "bytes"), ("committed", "rows"), ("committed", "runs"))
_FAILED = {"run_failed", "quarantined", "interrupted"}

Observer = Callable[[str, dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """A warning or an error: when (UTC, ISO 8601), of which event, about which processor, and what it said."""

    at: str
    level: Level
    event: str
    processor: str
    text: str


class Meter:
    """Counts events and adds up their fields. A listener; may be called and read by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the rest
        self._counts: Counter[tuple[str, str, str]] = Counter()  # by event, processor and field
        self._troubles: deque[Trouble] = deque(maxlen=TROUBLES)
        self._last_error: dict[str, Trouble] = {}
        self._newest: deque[dict[str, object]] = deque(maxlen=NEWEST)
        # One entry per second: when, and the bytes, rows and runs until then.
        self._history: deque[tuple[float, ...]] = deque(maxlen=WINDOW_SECONDS + 1)
        self._observers: list[Observer] = []

    def observe(self, observer: Observer) -> None:
        """Tell somebody else about each event, too; before the first one."""
        self._observers.append(observer)

    def __call__(self, level: Level, event: str, fields: dict[str, object]) -> None:
        """Count one event."""
        processor = str(fields.get("processor", ""))
        with self._lock:
            self._add(event, processor, "", 1)
            for name in _SUMMED:
                if isinstance(value := fields.get(name), int):
                    self._add(event, processor, name, value)
            if level in {"warning", "error"}:
                text = ", ".join(f"{name}={value}" for name, value in fields.items() if name != "processor")
                trouble = Trouble(_stamp(), level, event, processor, text)
                self._troubles.append(trouble)
                if event in _FAILED:
                    self._last_error[processor] = trouble
            elif event == "processed":
                self._newest.append({"at": _stamp(), **fields})
        for observer in self._observers:
            observer(event, fields)

    def _add(self, event: str, processor: str, name: str, value: int) -> None:
        self._counts[event, "", name] += value
        if processor:
            self._counts[event, processor, name] += value

    def count(self, event: str, name: str = "", processor: str = "") -> int:
        """How often an event happened, or the sum of a field of it; of one processor, or of all."""
        with self._lock:
            return self._counts[event, processor, name]

    def tick(self) -> None:
        """Note where the sums are now; call this about every second."""
        with self._lock:
            sums = (self._counts[event, "", name] for event, name in _RATES)
            self._history.append((time.monotonic(), *sums))

    def rates(self) -> list[dict[str, float]]:
        """Bytes, rows and runs per second, second by second over the last minute, the newest last."""
        with self._lock:
            history = list(self._history)
        return [
            {
                f"{name}_per_second": (after[place] - before[place]) / max(1e-3, after[0] - before[0])
                for place, (_, name) in enumerate(_RATES, 1)
            }
            for before, after in pairwise(history)
        ]

    def errors(self, processor: str) -> int:
        """How many runs of a processor have failed."""
        with self._lock:
            return sum(self._counts[event, processor, ""] for event in _FAILED)

    def last_error(self, processor: str) -> Trouble | None:
        """The last failure of a processor."""
        with self._lock:
            return self._last_error.get(processor)

    def troubles(self) -> list[Trouble]:
        """The latest warnings and errors, oldest first."""
        with self._lock:
            return list(self._troubles)

    def newest(self) -> list[dict[str, object]]:
        """The latest runs: when (UTC, ISO 8601), and the fields of the event; oldest first."""
        with self._lock:
            return list(self._newest)


def _stamp() -> str:
    return utc_now().isoformat(timespec="milliseconds") + "Z"
