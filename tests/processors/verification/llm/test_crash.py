"""Real processes: that are killed when it matters, and that spend at the same time."""

import os
import signal
import subprocess
import sys

import msgspec
import pytest

from processors.verification.llm import LlmExtractor
from processors.verification.llm.answers import DAY, Answers
from processors.verification.model import Window

ONE = pytest.mark.parametrize("provider", ["openai"], indirect=True)  # a process of its own takes time to start

CHILD = """
import os, signal, sys
import msgspec
from processors.verification.llm import LlmExtractor, LlmOptions
from processors.verification.model import Window
found = LlmExtractor(msgspec.json.decode(sys.argv[1], type=LlmOptions)).extract(Window((), sys.argv[2]))
if sys.argv[3] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
print(len(found))
"""


def started(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )


def child(options, prompt, end="live"):
    return started(CHILD, msgspec.json.encode(options).decode(), prompt, end)


def ended(process):
    with process:
        return process.wait(100), process.stdout.read().strip()


@ONE
def test_a_crash_between_an_answer_and_its_use_does_not_pay_twice(model_server, options):
    given = options()
    assert ended(child(given, "x", "die")) == (-signal.SIGKILL, "")
    assert ended(child(given, "x")) == (0, "0")
    assert len(model_server.received) == 1


@ONE
def test_a_crash_while_a_request_is_under_way(model_server, options, spent):
    model_server.gate.clear()
    process = child(options(), "x")
    assert model_server.waiting.wait(100)
    process.kill()
    assert ended(process)[0] == -signal.SIGKILL
    model_server.gate.set()
    asked = LlmExtractor(options())
    held = spent(asked)
    assert held > 8192, "it may have been billed"
    assert asked.extract(Window((), "x")) == []
    assert spent(asked) == held + 120


SPENDER = """
import sys
from pathlib import Path
from processors.contract import PauseError
from processors.verification.llm.answers import Answers
answers = Answers(Path(sys.argv[1]), daily_tokens=500, clock=lambda: float(sys.argv[2]), patience=60)
spent = 0
for number in range(40):
    try:
        hold = answers.hold(20)
    except PauseError:
        continue
    answers.settle(hold, 10, f"{sys.argv[3]} {number}", "a")
    spent += 10
print(spent)
"""


def test_processes_share_a_day(tmp_path):
    path = str(tmp_path / "of" / "answers.sqlite")
    processes = [started(SPENDER, path, f"{DAY / 2}", f"{number}") for number in range(3)]
    spent = [int(ended(process)[1]) for process in processes]
    answers = Answers(tmp_path / "of" / "answers.sqlite", daily_tokens=500, clock=lambda: DAY / 2)
    assert sum(spent) == answers.spent()
    answers.close()
    assert 440 <= sum(spent) <= 500
