"""``sessiond doctor`` as an operator runs it: with a daemon and without, as root and as others, in all its forms."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daemon.doctor import CHECKS, doors, examine, gather, service

HOSTILE = "evil\x1b[2J\n.jsonl"
NOBODY = 65534
OF_THE_HOST = {"inotify", "filesystem", "disk", "llm"}
"""What these say depends on where the tests run."""

FAILING = """
class P:
    name = "failing"

    def process(self, batch):
        raise ValueError("what a session says")
"""


def _found(result):
    """The findings by check, as (level, what it says, fix); the rest of the answer is as it has to be."""
    assert "Traceback" not in result.stderr
    told = json.loads(result.stdout)
    levels = {each["level"] for each in told["findings"]}
    worst = next(level for level in ("error", "warning", "ok") if level in levels)
    assert told["worst"] == worst
    assert result.returncode == {"ok": 0, "warning": 1, "error": 2}[worst], told
    found = {}
    for each in told["findings"]:
        assert each["level"] in {"ok", "warning", "error", "skipped"}
        assert "itself failed" not in each["says"], each
        found.setdefault(each["check"], []).append((each["level"], each["says"], each["fix"]))
    assert list(found) == list(CHECKS)
    return found


def _doctor(box, *arguments, **more):
    return _found(box.sessiond("doctor", box.root, "--db", box.db, *arguments, "--json", **more))


def _levels(found, check):
    return {level for level, _, _ in found[check]}


def _says(found, check):
    return "\n".join(f"{says} -> {fix}" for _, says, fix in found[check])


def _everything(folder):
    """All files below a folder with what is in them, and all names."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def quiet(monkeypatch, box):
    """A host whose clock is right, so that nothing is left to be warned of."""
    (box.folder / "bin").mkdir()
    program = box.folder / "bin" / "timedatectl"
    program.write_text("#!/bin/sh\necho yes\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


def test_a_sound_host_exits_with_0_and_nothing_is_changed(box, line, quiet):
    box.append("alice/a.jsonl", line(1), line(2))
    assert box.scan().returncode == 0
    before = _everything(box.folder)
    found = _doctor(box)
    levels = {level for check, each in found.items() if check not in OF_THE_HOST for level, _, _ in each}
    assert levels == {"ok", "skipped"}
    assert "usage: 1 session, 0 of them not processed" in _says(found, "state")
    assert _everything(box.folder) == before


def test_a_daemon_that_is_well_is_asked(box, line, quiet):
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon()
    daemon.wait_quiet()
    found = _doctor(box)
    assert _levels(found, "socket") == {"ok"}
    assert f"process {daemon.process.pid}" in _says(found, "socket")
    assert _levels(found, "database") == {"ok"}
    assert "tables read from end to end" in _says(found, "database")
    assert _levels(found, "state") == {"ok"}
    assert "1 session, lag 0.0 s, backlog 0, last scan at" in _says(found, "state")
    assert daemon.stop() == 0


def test_a_daemon_that_lags_or_is_older_than_what_is_installed_is_a_warning(box, line, monkeypatch):
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon()
    daemon.wait_quiet()
    monkeypatch.setattr(service, "LAG_SECONDS", -1.0)
    monkeypatch.setattr(service, "version", lambda _name: "999")
    patient = gather({"root": box.root, "db": box.db}, None, lambda _text: None)
    found = {each.check: each for each in examine(patient) if each.level == "warning"}
    assert found["state"].says.startswith("usage is behind")
    assert found["socket"].says.endswith("while 999 is installed")
    assert found["socket"].fix == "systemctl restart sessiond"
    assert daemon.stop() == 0


def test_the_daemon_of_another_database_is_named_and_not_asked(box, line, monkeypatch):
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon()
    daemon.wait_quiet()
    monkeypatch.setattr(doors, "SYSTEM_SOCKET", Path(f"{box.db}.sock"))
    patient = gather({"root": box.root, "db": box.folder / "other.duckdb"}, None, lambda _text: None)
    found = [each for each in examine(patient) if each.check in {"database", "socket"}]
    assert [each.level for each in found] == ["ok", "ok", "skipped"]
    assert "other.duckdb is not there yet" in found[0].says
    assert f"for another database: {box.db}" in found[1].says
    assert daemon.stop() == 0


def test_without_flags_it_looks_at_the_root_and_the_database_of_the_daemon(box, line, quiet):
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon()
    daemon.wait_quiet()
    found = _found(box.sessiond("doctor", "--socket", f"{box.db}.sock", "--json"))
    assert str(box.root) in _says(found, "root")
    assert _levels(found, "files") == {"ok"}
    assert _levels(found, "database") == {"ok"}
    other = box.folder / "other"
    other.mkdir()
    found = _found(box.sessiond("doctor", other, "--socket", f"{box.db}.sock", "--json"))
    assert "warning" in _levels(found, "root")
    assert f"the daemon reads {box.root}, and not {other}" in _says(found, "root")
    assert daemon.stop() == 0


def test_a_daemon_that_is_not_well_says_why_and_what_is_in_quarantine(box, line):
    box.plugin("failing", FAILING)
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon(processors='["usage", "failing"]', max_attempts=1)
    daemon.wait("quarantined", processor="failing")
    shutil.move(box.root, box.folder / "gone")
    daemon.wait("waiting_for_root")
    found = _doctor(box, processors='["usage", "failing"]')
    assert _levels(found, "root") == {"error"}
    assert "error" in _levels(found, "state")
    assert "is not there" in _says(found, "state")
    assert "failing: 1 session in quarantine -> sessiond quarantine" in _says(found, "state")
    assert "what a session says" not in str(found)
    assert daemon.stop() == 0
    shutil.move(box.folder / "gone", box.root)
    found = _doctor(box, processors='["usage", "failing"]')
    assert "failing: 1 session in quarantine" in _says(found, "state")


def test_a_database_in_use_by_a_process_that_does_not_answer_is_an_error(box, line):
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon(socket=box.folder / "elsewhere")
    daemon.wait_quiet()
    found = _doctor(box)
    assert _levels(found, "database") == {"error"}
    assert f"in use by process {daemon.process.pid}" in _says(found, "database")
    assert "--socket" in _says(found, "database")
    assert _levels(found, "state") == {"skipped"}
    assert daemon.stop() == 0


def test_a_daemon_that_answers_no_such_query_is_no_sign_of_damage(box, line):
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon(query_rows=1)
    daemon.wait_quiet()
    found = _doctor(box)
    assert _levels(found, "database") == {"skipped"}
    assert "query_rows" in _says(found, "database")
    assert daemon.stop() == 0


def test_wrong_settings_are_the_first_finding_and_the_rest_is_looked_at(box, line):
    box.append("alice/a.jsonl", line(1))
    config = box.folder / "c.toml"
    config.write_text("debounce = 1\n")
    found = _doctor(box, "--config", config)
    assert _levels(found, "settings") >= {"error"}
    assert "debounce" in _says(found, "settings")
    assert _levels(found, "files") == {"ok"}


def test_a_hostile_name_never_comes_out_raw(box, line):
    box.append("alice/a.jsonl", line(1))
    (box.root / "alice" / HOSTILE).symlink_to("a.jsonl")
    (box.root / HOSTILE).write_bytes(b"")
    shown = box.on_a_terminal("doctor", box.root, width=80)
    for result in (box.sessiond("doctor", box.root), box.sessiond("doctor", box.root, "--json")):
        assert result.returncode in {1, 2}
        shown += (result.stdout + result.stderr).encode()
    assert shown.count(rb"evil\x1b[2J\n.jsonl") >= 2
    assert b"evil\x1b" not in shown


def test_a_script_gets_a_line_for_each_finding(box):
    result = box.sessiond("doctor", box.folder / "nowhere", "--db", box.db)
    assert result.returncode == 2
    assert result.stderr == ""
    header, *rows = (row.split("\t") for row in result.stdout.splitlines())
    assert header == ["check", "level", "says", "fix"]
    assert {len(row) for row in rows} == {4}
    assert ["root", "error"] in [row[:2] for row in rows]


def test_a_terminal_of_80_columns_gets_a_list_with_what_to_do_below(box):
    long = box.folder / ("nowhere/" * 20)
    text = box.on_a_terminal("doctor", long, width=80).decode()
    plain = subprocess.run(
        ["sed", r"s/\x1b\[[0-9;?]*[a-zA-Z]//g"], input=text, capture_output=True, text=True, check=True
    ).stdout
    lines = [row.rstrip() for each in plain.splitlines() for row in [each.split("\r")[-1] or each.split("\r")[0]]]
    assert max(map(len, lines)) <= 80
    (row,) = [number for number, each in enumerate(lines) if each.startswith("✗ root")]
    assert any("→ create or mount it" in each for each in lines[row : row + 8])
    assert "error" in lines[-1]


def test_two_roots_are_no_diagnosis(box):
    result = box.sessiond("doctor", box.root, "--root", box.folder, "--json")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("sessiond: two roots")


# As somebody else


@pytest.fixture
def without_privileges():
    """What to put before a command so that root may not read everything."""
    return _dropping("--bounding-set=-dac_override,-dac_read_search") if os.getuid() == 0 else []


@pytest.fixture
def as_nobody():
    """What to put before a command so that nobody runs it."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    return _dropping(f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


def _dropping(*options):
    drop = ["setpriv", *options]
    if shutil.which("setpriv") is None or subprocess.run([*drop, sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("root's privileges cannot be dropped: no setpriv here, or this Python is for root only")
    return drop


@pytest.fixture
def open_box(box):
    """A box in a folder that all users may enter."""
    with tempfile.TemporaryDirectory(prefix="sessiond-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.move(box.root, folder / "root")
        box.root, box.db = folder / "root", folder / "state" / "sessiond.duckdb"
        try:
            yield box
        finally:
            box.close()


def _as(before, box, *arguments):
    command = [*before, sys.executable, "-m", "daemon.cli", "doctor", box.root, "--db", box.db, "--json", *arguments]
    return _found(
        subprocess.run(
            list(map(str, command)),
            env=box.env(processors='["usage"]'),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    )


def test_a_file_that_cannot_be_read_is_an_error(box, line, without_privileges):
    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(1))
    box.path("alice/a.jsonl").chmod(0)
    (box.root / "bob").chmod(0)
    found = _as(without_privileges, box)
    assert _levels(found, "files") == {"error"}
    assert "cannot read 2 of them: bob/, alice/a.jsonl" in _says(found, "files")
    assert "CAP_DAC_READ_SEARCH" in _says(found, "files")
    box.root.chmod(0)
    found = _as(without_privileges, box)
    assert _levels(found, "root") == {"error"}
    assert "may not list" in _says(found, "root")
    assert _levels(found, "files") == {"skipped"}
    box.root.chmod(0o755)
    (box.root / "bob").chmod(0o755)


def test_what_the_daemon_was_refused_is_an_error_until_it_has_read_it(box, line, without_privileges, until):
    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(1))
    box.path("alice/a.jsonl").chmod(0)
    daemon = box.child(before=without_privileges, scan_seconds=1)
    daemon.wait("refused", session_file="alice/a.jsonl")
    daemon.wait_lines("bob/b.jsonl", 1)
    found = _doctor(box)
    assert "error" in _levels(found, "files")
    assert "the daemon was refused 1 file or folder since " in _says(found, "files")
    assert "alice/a.jsonl" in _says(found, "files")
    box.path("alice/a.jsonl").chmod(0o644)
    daemon.wait_lines("alice/a.jsonl", 1)
    until(lambda: _levels(_doctor(box), "files") == {"ok"})
    assert daemon.stop() == 0


def test_an_ordinary_user_is_told_what_only_others_may_see(open_box, line, as_nobody):
    box = open_box
    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(1))
    box.path("alice/a.jsonl").chmod(0o600)
    assert box.scan().returncode == 0
    found = _as(as_nobody, box)
    assert "nobody cannot read 1 of them: alice/a.jsonl" in _says(found, "files")
    assert _levels(found, "database") == {"error"}
    assert "nobody may not read the database" in _says(found, "database")
    assert _levels(found, "state") == {"skipped"}


def test_an_ordinary_user_may_not_ask_a_daemon_of_another_group(open_box, line, as_nobody):
    box = open_box
    box.append("alice/a.jsonl", line(1))
    box.path("alice/a.jsonl").chmod(0o600)
    socket = box.root.parent / "s.sock"
    daemon = box.daemon(socket=socket)
    daemon.wait_quiet()
    found = _as(as_nobody, box, "--socket", socket)
    assert _levels(found, "socket") == {"warning"}
    assert "usermod -aG root nobody" in _says(found, "socket")
    assert "mode 0660" in _says(found, "socket")
    socket.chmod(0o666)
    found = _as(as_nobody, box, "--socket", socket)
    assert _levels(found, "socket") == {"ok"}
    assert _levels(found, "database") == {"ok"}
    assert _levels(found, "files") == {"skipped"}
    assert "which says nothing of the daemon" in _says(found, "files")
    assert daemon.stop() == 0
