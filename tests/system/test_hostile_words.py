"""What users of the host write, into names or transcripts, never acts on a terminal, whichever command says it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = "\x1b]0;owned[red]\x07\x1b[2J\u202e\x9b31m\x7f\u2028\u200b\r\n\tx"
NAME = WORDS.replace("/", "")
OWNED = "owned[red]"
USER = f"eve{NAME}"
KEY = f"{USER}/{NAME}.jsonl"

PLUGIN = """
from processors import ProcessorResult
class P:
    name = "fails"
    tables = ()
    def process(self, batch):
        raise RuntimeError(batch.data.decode())
"""
UNUSABLE = f"raise RuntimeError({WORDS!r})\n"


def hostile_line(number):
    """Says it wherever a transcript says something that is shown."""
    tools = ["Bash", WORDS, "Skill", "Task", f"mcp__{WORDS}__{WORDS}"]
    inputs = {"skill": WORDS, "name": WORDS, "subagent_type": WORDS, "command": WORDS}
    blocks = [
        {"type": "tool_use", "id": f"t{number}-{place}", "name": name, "input": inputs}
        for place, name in enumerate(tools)
    ]
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": WORDS, "speed": WORDS}
    message = {"role": "assistant", "id": f"m{number}{WORDS}", "model": WORDS, "content": blocks, "usage": usage}
    where = {"cwd": f"/home/{WORDS}", "gitBranch": WORDS, "version": WORDS, "sessionId": WORDS, "requestId": WORDS}
    turn = {"type": "assistant", "uuid": f"u{number}", "timestamp": "2026-01-01T00:00:00Z", "message": message}
    results = [
        {"type": "tool_result", "tool_use_id": f"t{number}-{place}", "is_error": True, "content": WORDS}
        for place in range(len(tools))
    ]
    prompt = {"role": "user", "content": f"<command-name>/{WORDS}</command-name> {WORDS}"}
    turns = [
        turn | where,
        {"type": "user", "uuid": f"r{number}", "message": {"role": "user", "content": results}} | where,
        {"type": "user", "uuid": f"p{number}", "timestamp": "2026-01-01T00:00:00Z", "message": prompt} | where,
        {"type": "summary", "summary": WORDS},
        {"type": WORDS} | where,
    ]
    return b"".join(json.dumps(each).encode() + b"\n" for each in turns)


class Terminal:
    """Commands on terminals that know no colours: all that acts on one is somebody else's."""

    def __init__(self, box, **settings):
        env = box.env(**settings) | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
        env["PYTHONPATH"] += os.pathsep + str(Path.cwd())
        pipe = subprocess.PIPE
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.system.zygote"], env=env, stdin=pipe, stdout=pipe, text=True
        )

    def __call__(self, *arguments):
        self._zygote.stdin.write(json.dumps([str(each) for each in arguments]) + "\n")
        self._zygote.stdin.flush()
        return json.loads(self._zygote.stdout.readline())

    def close(self):
        self._zygote.stdin.close()
        self._zygote.wait(60)
        self._zygote.stdout.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A root and a database with nothing in them but what is hostile."""
    from tests.system.conftest import Box  # noqa: PLC0415

    box = Box(tmp_path_factory.mktemp("hostile"))
    box.plugin("fails", PLUGIN)
    box.plugin("unusable", UNUSABLE)
    box.append(KEY, hostile_line(1))
    os.mkfifo(box.path(f"{USER}/fifo{NAME}.jsonl"))
    (box.root / f"direct{NAME}.jsonl").touch()
    box.settings = {"processors": '["usage", "fails"]', "max_attempts": 1, "backoff_seconds": 0.01}
    scanned = box.scan(**box.settings)
    assert scanned.returncode == 1, scanned
    box.terminal = Terminal(box, **box.settings)
    yield box
    box.terminal.close()
    box.close()


def assert_harmless(text):
    wrong = {char for char in text if not char.isprintable() and char not in "\r\n\t"}
    assert not wrong, f"{wrong}: {text!r}"
    assert "Traceback" not in text, text


REPORTS = ["sessions", "tools", "mcp"]
ALL = "SELECT * FROM usage_events, usage_messages, usage_session_summary"
COMMANDS = {
    "status": ("status",),
    "quarantine": ("quarantine",),
    "quarantine as JSON": ("quarantine", "--json"),
    "processors": ("processors",),
    "processors, one unusable": ("processors", "--config", "{unusable}"),
    "check-config of a hostile file": ("check-config", "--config", "{config}"),
    "check-config of no TOML": ("check-config", "--config", "{no toml}"),
    "a table": ("query", "SELECT tool_name, session_file FROM usage_events"),
    "records": ("query", ALL),
    "JSON": ("query", ALL, "--json"),
    "NDJSON": ("query", ALL, "--format", "ndjson"),
    "nested": ("query", "SELECT {'a': tool_name, 'b': [tool_name]} AS n, tool_name::BLOB AS b FROM usage_events"),
    "names of columns": ("query", f'SELECT 1 AS "{WORDS}", 2 AS "{WORDS}", 3 AS c, 4 AS d'),
    "a value that cannot be cast": ("query", "SELECT tool_name::INTEGER FROM usage_events"),
    "no SQL": ("query", f"SELECT {WORDS}"),
    "no such table": ("query", f'FROM "{WORDS}"'),
    **{f"usage {name}": ("usage", name) for name in REPORTS},
    "usage as JSON": ("usage", "tools", "--json"),
    "usage as CSV": ("usage", "tools", "--csv"),
    "usage of a user": ("usage", "sessions", "--user", USER),
    "usage in no time zone": ("usage", "daily", "--timezone", WORDS),
    "no such report": ("usage", WORDS),
    "scan": ("scan", "{root}"),
    "run-processor": ("run-processor", "fails", "--root", "{root}"),
    "run-processor of none": ("run-processor", WORDS, "--root", "{root}"),
    "reprocess": ("reprocess", "usage", "--session", KEY),
    "reprocess of nothing": ("reprocess", "usage", "--session", f"x{WORDS}"),
    "requeue": ("requeue", "--session", KEY),
    "doctor": ("doctor", "{root}"),
    "doctor of nothing": ("doctor", WORDS),
    "rebuild, only planned": ("rebuild", "{root}", "--dry-run"),
    "export": ("export", "{folder}/out"),
    "export of nothing": ("export", "{folder}/out", "-t", WORDS),
    "export into a file": ("export", "/dev/null/" + NAME),
    "demo in a place that is there": ("demo", "{root}"),
    "a socket of nobody": ("status", "--socket", WORDS, "--db", "/nowhere/x.duckdb"),
    "a database that is none": ("status", "--db", "{folder}/" + NAME),
    "no such command": (WORDS,),
    "no such option": ("status", f"--{WORDS}"),
    "no number": ("demo", "--seconds", WORDS),
    "no UTF-8": ("reprocess", "usage", "--session", "alice/\udcff.jsonl"),
    "a processor of no UTF-8": ("run-processor", "\udcff", "--root", "{root}"),
    "a user of no UTF-8": ("usage", "sessions", "--user", "\udcff"),
    "log level": ("run", "{root}", "--log-level", WORDS),
}
SAYS_IT = ["records", "JSON", "NDJSON", "usage as JSON", "quarantine as JSON", "scan", "doctor"]


def run(place, name):
    """What a command shows, with what it needs in its place."""
    folder = place.folder
    (folder / "hostile.toml").write_text(f"[options.usage]\ntimezone = {json.dumps(WORDS)}\n")
    (folder / "none.toml").write_text(f"{WORDS} = 5\n")
    (folder / "unusable.toml").write_text('processors = ["usage", "unusable"]\n')
    (folder / NAME).write_text(WORDS)
    names = {
        "{root}": place.root,
        "{folder}": folder,
        "{config}": folder / "hostile.toml",
        "{no toml}": folder / "none.toml",
        "{unusable}": folder / "unusable.toml",
    }
    arguments = list(COMMANDS[name])
    for placeholder, value in names.items():
        arguments = [each.replace(placeholder, str(value)) for each in arguments]
    if "--db" not in arguments and arguments[0] not in {"install", WORDS}:
        arguments += ["--db", str(place.db)]
    done = place.terminal(*arguments)
    assert_harmless(done["shown"])
    assert done["code"] in {0, 1, 2}, done
    if name in SAYS_IT:
        assert OWNED in done["shown"]


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_that_somebody_else_wrote_acts_on_a_terminal(place, name):
    run(place, name)


BESIDE = [
    "status",
    "quarantine as JSON",
    "records",
    "NDJSON",
    "a value that cannot be cast",
    "no SQL",
    "usage tools",
    "doctor",
    "processors",
    "reprocess",
    "reprocess of nothing",
    "run-processor",
    "run-processor of none",
    "requeue",
    "no UTF-8",
    "a processor of no UTF-8",
    "export of nothing",
]


def test_nor_does_it_beside_a_daemon(place):
    daemon = place.child("run", str(place.root), "--db", str(place.db), **place.settings)
    daemon.wait("ready")
    daemon.wait("scanned")
    for name in BESIDE:
        run(place, name)
    assert daemon.stop() == 0
    for entry in daemon.entries:
        assert entry["event"] != "not JSON", entry
        assert all(value.isprintable() for value in entry.values() if isinstance(value, str)), entry
    assert daemon.of("refused")
    assert not daemon.of("request_failed")
