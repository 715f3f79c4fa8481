"""What happens is told once to everyone who listens: meter, JSON lines, a terminal, the journal."""

import fcntl
import inspect
import io
import json
import os
import re
import shutil
import socket
import subprocess
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from daemon import journal
from daemon.events import Events
from daemon.journal import listener
from daemon.journald import Journald, entry_of, message_id
from daemon.meter import Meter

SPECIMENS = {str: "text", int: 3, float: 0.5, bool: True, list[str]: ["one"]}
SPECIMENS[Mapping[str, tuple[int, int]]] = {"odd_lines": (1, 100)}
NAMES = [
    name
    for name, method in vars(Events).items()
    if inspect.isfunction(method) and not name.startswith("_") and name != "listen"
]


def happen(events, name, specimens=SPECIMENS):
    """Let an event happen, with a made-up value for each of its arguments."""
    method = getattr(events, name)
    kinds = typing.get_type_hints(method)
    positional, named = [], {}
    for parameter in inspect.signature(method).parameters.values():
        value = specimens[kinds[parameter.name]]
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            named[parameter.name] = value
        else:
            positional.append(value)
    method(*positional, **named)


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_every_event_reaches_every_listener_under_its_own_name(name):
    heard = []
    meter, stream = Meter(), io.StringIO()
    happen(Events(lambda *told: heard.append(told), meter, listener("debug", stream=stream)), name)
    ((level, event, fields),) = heard
    assert event == name
    assert meter.count(name) == 1
    (line,) = lines(stream)
    assert line.items() >= {"event": name, "level": level}.items()
    assert line.keys() >= fields.keys()


def test_a_meter_adds_up_the_fields_over_all_and_by_processor():
    meter = Meter()
    events = Events(meter)
    for processor, lines_read in (("usage", 3), ("other", 4), ("usage", 5)):
        events.processed(
            processor,
            "a/s.jsonl",
            run="r",
            complete=True,
            lines=lines_read,
            malformed=1,
            items=2,
            size=10,
            took=0.01,
            seconds=0.1,
        )
    sums = (meter.count("processed"), meter.count("processed", "lines"), meter.count("processed", "lines", "usage"))
    assert sums == (3, 12, 8)
    assert (meter.count("processed", "malformed"), meter.count("processed", "bytes")) == (3, 30)
    assert meter.count("processed", "lines", "nobody") == 0


def test_the_latest_troubles_are_kept_and_no_more_than_a_hundred():
    meter = Meter()
    events = Events(meter)
    events.folded(1, 0.1)
    for number in range(150):
        events.refused(f"a/{number}.jsonl", "link")
    troubles = meter.troubles()
    assert len(troubles) == 100
    assert (troubles[-1].event, troubles[-1].text) == ("refused", "session_file=a/149.jsonl, reason=link")


def test_only_events_of_the_level_and_above_are_written():
    stream = io.StringIO()
    events = Events(listener("warning", stream=stream))
    events.folded(1, 0.1)
    events.stopping("asked to")
    events.refused("a/s.jsonl", "link")
    events.part_failed("writer", "x")
    assert [line["event"] for line in lines(stream)] == ["refused", "part_failed"]


def test_a_name_with_control_characters_stays_one_line_and_harmless():
    stream = io.StringIO()
    Events(listener("info", stream=stream)).refused("a/\x1b[31m\nfake: event\udcff.jsonl", "link")
    (line,) = lines(stream)
    assert line["session_file"].isprintable()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_on_a_terminal_lines_are_readable_and_json_if_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    for as_json in (False, True):
        stream = Terminal()
        Events(listener("info", as_json=as_json, stream=stream)).refused("a/\x1b[31ms.jsonl", "link")
        assert stream.getvalue().count("\n") == 1
        assert stream.getvalue().startswith("{") == as_json
        assert all(word in stream.getvalue() for word in ("refused", "reason", "link", "session_file"))
        assert "\x1b" not in stream.getvalue()


@pytest.fixture
def received(monkeypatch, tmp_path):
    """A socket in the journal's place, and a listener that believes to be connected to the journal."""
    monkeypatch.chdir(tmp_path)  # the path itself may be too long for a socket's name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server, (tmp_path / "log").open("w") as stream:
        server.bind("journal")
        server.settimeout(10)
        journald = Journald(Path("journal"))
        monkeypatch.setattr(journal, "Journald", lambda: journald)
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        told = listener("info", stream=stream)
        try:
            yield Events(told), server
        finally:
            journald.close()
        stream.flush()
        assert (tmp_path / "log").read_text() == ""


def test_under_systemd_events_go_to_the_journal_with_a_field_for_each_value(received):
    events, server = received
    events.folded(1, 0.1)  # below the level
    events.run_failed("usage", "a/s.jsonl", run="r", attempt=2, retry_in=1.5, error="broken")
    entry = dict(line.split("=", 1) for line in server.recv(1 << 16).decode().splitlines())
    wanted = {
        "EVENT": "run_failed",
        "PROCESSOR": "usage",
        "SESSION_FILE": "a/s.jsonl",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "sessiond",
        "ERROR": "broken",
        "SESSIOND_USER": "a",
        "MESSAGE_ID": message_id("run_failed"),
        "SESSIOND_ATTEMPT": "2",
        "RUN_ID": "r",
    }
    assert entry.items() >= wanted.items()
    assert entry["MESSAGE"].startswith("run_failed: ")


def test_a_name_cannot_add_a_field_to_the_journal(received):
    events, server = received
    events.refused("a/\nPRIORITY=0\n.jsonl", "link")
    fields = [line.split("=", 1)[0] for line in server.recv(1 << 16).decode().splitlines()]
    assert len(fields) == len(set(fields))


def test_a_field_that_is_too_large_for_a_datagram_goes_through_a_sealed_file(received):
    events, server = received
    error = "long " * 1_000_000
    events.fold_failed(error)
    _, descriptors, _, _ = socket.recv_fds(server, 1 << 16, 1)
    with os.fdopen(descriptors[0], "rb") as file:
        seals = fcntl.fcntl(file.fileno(), fcntl.F_GET_SEALS)
        file.seek(0)
        entry = dict(line.split("=", 1) for line in file.read().decode().splitlines())
        assert entry["ERROR"] == error
        assert len(entry["MESSAGE"]) < 3000
    assert seals & fcntl.F_SEAL_WRITE
    assert seals & fcntl.F_SEAL_SHRINK


def test_entries_that_the_journal_has_no_room_for_are_counted(received):
    events, server = received
    sent = 1000  # 10 MB: more than any socket's queue holds
    for number in range(sent):
        events.lane_paused(f"p{number}", "x" * 10_000)
    server.setblocking(False)
    taken = 0
    with suppress(BlockingIOError):
        while server.recv(1 << 16):
            taken += 1
    events.stopped(clean=True)
    entry = dict(line.split("=", 1) for line in server.recv(1 << 16).decode().splitlines())
    assert int(entry["SESSIOND_LOST"]) == sent - taken


def test_a_kind_of_event_has_the_same_message_id_for_ever():
    assert message_id("quarantined") == "99441f12fcbc587997ad9ed2d7d54ee5"


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_in_the_catalogue_and_in_the_readme(name):
    top = Path(__file__).parents[2]
    assert f"| `{name}` | `{message_id(name)}` |\n" in (top / "README.md").read_text()
    catalogue = (top / "systemd" / "sessiond.catalog").read_text()
    assert f"\n-- {message_id(name)}\nSubject: sessiond: {name}\nDefined-By: sessiond\n\n" in catalogue


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="needs journalctl")
def test_journalctl_takes_the_catalogue(tmp_path):
    (folder := tmp_path / "usr/lib/systemd/catalog").mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(Path(__file__).parents[2] / "systemd" / "sessiond.catalog", folder)
    options = ["journalctl", f"--root={tmp_path}"]
    made = subprocess.run([*options, "--update-catalog"], capture_output=True, text=True, check=True)
    assert made.stderr == ""
    said = subprocess.run([*options, "--dump-catalog"], capture_output=True, text=True, check=True).stdout
    assert said.count("Defined-By: sessiond") == len(NAMES)


def test_a_journal_that_does_not_answer_disturbs_nobody(received):
    events, server = received
    server.close()
    events.refused("a/s.jsonl", "link")


def test_another_stream_than_the_one_systemd_connected_gets_lines(monkeypatch, tmp_path):
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    with (tmp_path / "log").open("w") as stream:
        Events(listener("info", stream=stream)).refused("a/s.jsonl", "link")
    assert json.loads((tmp_path / "log").read_text())["event"] == "refused"


WORDS = "\x1b]0;owned\x07\u202e\x9b31m\x7f\u2028\r\n{}[red]"
HOSTILE = SPECIMENS | {str: WORDS, list[str]: [WORDS], Mapping[str, tuple[int, int]]: {WORDS: (1, 100)}}


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_an_event_is_one_harmless_line_whatever_it_says(name, as_json):
    said, stream = [], Terminal()
    happen(Events(lambda *told: said.append(told), listener("debug", as_json=as_json, stream=stream)), name, HOSTILE)
    text = re.sub("\x1b\\[[0-9;]*m", "", stream.getvalue())  # without our own colours
    assert text.endswith("\n")
    assert text[:-1].isprintable(), text
    assert all(value.isprintable() for value in entry_of(*said[0]).values())
