"""The daemon in a process of its own, which says over a pipe what it committed and when.

It is ``sessiond run`` but for one more listener: that notes the moment of each ``processed`` event, which the
writer tells right after the commit. CLOCK_MONOTONIC is one clock for all processes of a machine.
"""

import os
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from daemon.config import Settings
from daemon.events import Events
from daemon.journal import listener
from daemon.service import Service
from processors.registry import load as load_processors
from tests.bench.place import SPAWN, wait_for

Commit = tuple[str, float, int]
"""Session, moment, and how many of its bytes this commit added."""


class _Recorder:
    """Listens, and answers the benchmark's questions from a thread that sleeps between them."""

    def __init__(self, pipe: Connection, settings: Settings) -> None:
        self._pipe = pipe
        self._commits: list[Commit] = []
        self._events: dict[str, int] = {}
        self._folds: list[float] = []
        self._troubles: list[str] = []
        self._is_ready = threading.Event()
        log = listener("info", stream=Path(os.devnull).open("w"))  # noqa: SIM115  # open until the process ends
        self.service = Service(settings, load_processors(["usage"])[0], Events(self._listen, log))

    def _listen(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if event == "processed":
            self._commits.append((fields["session_file"], time.monotonic(), fields["bytes"]))
        elif event == "folded":
            self._folds.append(fields["duration_ms"])
        elif event == "ready":
            self._is_ready.set()
        elif level in {"warning", "error"}:
            self._troubles.append(f"{event}: {fields}")

    def answer(self) -> None:
        """In a thread: until asked to stop."""
        while True:
            question = "stop"
            with suppress(EOFError):
                question = self._pipe.recv()
            if question == "stop":
                self.service.stop("the benchmark is over")
                return
            self._pipe.send(getattr(self, f"_{question}")())

    def _state(self) -> dict[str, Any]:
        engine = self.service.engine
        return {
            "ready": self._is_ready.is_set(),
            "scanned": self.service.survey.first_done.is_set(),
            "backlog": sum(lane.counts()["backlog"] for lane in engine.lanes),
            "idle": engine.idle(),
            "sessions": max(lane.sessions() for lane in engine.lanes),
            "files_opened": engine.transcripts.files_opened,
            "bytes_read": engine.transcripts.bytes_read,
            "commits": len(self._commits),
            "folds_ms": self._folds,
            "troubles": self._troubles,
        }

    def _commits_so_far(self) -> list[Commit]:
        return self._commits[:]


def _serve(pipe: Connection, root: Path, db: Path) -> None:
    recorder = _Recorder(pipe, Settings(root=root, db=db))
    threading.Thread(target=recorder.answer, daemon=True).start()
    recorder.service.run()


class Daemon:
    """A running daemon; use it with ``with``. Only one thread may ask."""

    def __init__(self, root: Path, db: Path) -> None:
        self._pipe, other = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(other, root, db))
        self._process.start()
        other.close()
        wait_for(lambda: self.state()["ready"], "the daemon to be ready", every=0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._pipe.send("stop")
        self._process.join(120)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def state(self) -> dict[str, Any]:
        """How it is; see ``_Recorder._state``."""
        return self._ask("state")

    def commits(self) -> list[Commit]:
        """What it has committed since its start, in order."""
        return self._ask("commits_so_far")

    def settle(self, timeout: float = 600.0) -> None:
        """Wait until the first scan is done and everything that it found is committed."""

        def done() -> bool:
            state = self.state()
            return state["scanned"] and state["idle"]

        wait_for(done, "the daemon to be idle", timeout)

    def _ask(self, question: str) -> Any:
        self._pipe.send(question)
        if not self._pipe.poll(60):
            raise TimeoutError("the daemon's process does not answer")
        return self._pipe.recv()
