"""Ratios that processors watch, such as the share of lines of unknown type: summed up, and told of when one jumps.

That is how a change in the format of transcripts is noticed, which no count of errors would show.
"""

import threading
from dataclasses import dataclass

from daemon.events import Events, Level

WINDOW = 500
"""So many wholes make a window, which is compared with what was before it."""
RUNS = 10
"""So many runs at least: one session may be of a kind of its own."""
LEAST = 0.05
MEMORY = 0.8
"""What a window leaves of the weight of those before it."""


@dataclass(slots=True)
class Ratio:
    """One ratio: all since the start, the window that is being filled, and what is usual."""

    part: int = 0
    whole: int = 0
    window_part: int = 0
    window_whole: int = 0
    window_runs: int = 0
    usual_part: float = 0.0
    usual_whole: float = 0.0


class Ratios:
    """Sums of what processors report, by processor and name. A listener; may be called and read by any thread."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._lock = threading.Lock()  # guards the next
        self._ratios: dict[tuple[str, str], Ratio] = {}

    def __call__(self, _level: Level, event: str, fields: dict[str, object]) -> None:
        """Add what a run has reported; what is long past is summed up only."""
        if event != "measured":
            return
        processor, live, found = str(fields["processor"]), bool(fields["live"]), fields["ratios"]
        assert isinstance(found, dict)
        for name, (part, whole) in found.items():
            with self._lock:
                ratio = self._ratios.setdefault((processor, name), Ratio())
                ratio.part += part
                ratio.whole += whole
                jumped = _jumped(ratio, part, whole) if live and whole else None
            if jumped:
                self._events.ratio_jumped(processor, name, *jumped)

    def sums(self) -> dict[tuple[str, str], tuple[int, int]]:
        """The part and the whole since the start, by processor and name."""
        with self._lock:
            return {key: (ratio.part, ratio.whole) for key, ratio in self._ratios.items()}


def _jumped(ratio: Ratio, part: int, whole: int) -> tuple[float, float] | None:
    """Fill the window; if it is full and unlike what was usual: that share, and the window's."""
    ratio.window_part += part
    ratio.window_whole += whole
    ratio.window_runs += 1
    if ratio.window_whole < WINDOW or ratio.window_runs < RUNS:
        return None
    now = ratio.window_part / ratio.window_whole
    was = ratio.usual_part / ratio.usual_whole if ratio.usual_whole else None
    # Shares near a half vary most from session to session, those near nothing least.
    far = was is not None and abs(now - was) > max(LEAST, (max(0.0, was * (1 - was))) ** 0.5 / 2)
    keep = 0.0 if far else MEMORY  # what was usual is so no more, and told once
    ratio.usual_part = ratio.usual_part * keep + ratio.window_part
    ratio.usual_whole = ratio.usual_whole * keep + ratio.window_whole
    ratio.window_part = ratio.window_whole = ratio.window_runs = 0
    return (was, now) if far and was is not None else None
