"""The command line as people and scripts use it."""

import json
import os
import subprocess
import sys
import tempfile

import pytest

COMMANDS = (
    "run", "scan", "demo", "processors", "requeue", "reprocess", "check-config", "doctor", "install", "uninstall",
    "rebuild",
)  # fmt: skip


def _one_line(result):
    assert result.stdout == ""
    assert result.stderr.startswith("sessiond: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_teaches(box, command):
    result = box.sessiond(*command.split(), "--help")
    assert result.returncode == 0
    assert "Usage" in result.stdout
    assert len(result.stdout) > 300
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["bogus"], ["scan", "--bogus"], ["reprocess"], ["scan", "a", "b"]])
def test_wrong_usage_exits_with_2(box, arguments):
    result = box.sessiond(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_scan_without_a_root_exits_with_2_and_says_so_in_one_line(box):
    result = box.scan(root=box.folder / "nowhere")
    assert result.returncode == 2
    assert "nowhere" in _one_line(result)
    assert not box.db.exists()


@pytest.mark.parametrize("root", ["argument", "--root", "SESSION_DATA_DIR", "SESSIOND_ROOT", "file"])
def test_scan_takes_its_root_from_where_it_is_given(box, line, root):
    box.append("alice/a.jsonl", line(1))
    config = box.folder / "c.toml"
    config.write_text(f"root = '{box.root}'\n" if root == "file" else "")
    arguments = {"argument": [box.root], "--root": ["--root", box.root]}.get(root, [])
    env = {root: str(box.root)} if root.isupper() else {}
    result = box.sessiond("scan", *arguments, "--db", box.db, "--config", config, "--json", env=env)
    assert result.returncode == 0
    assert json.loads(result.stdout)["files"] == 1


def test_scan_with_json_prints_only_json_on_stdout(box, line):
    box.append("alice/a.jsonl", line(1), b"bad\n", line(2))
    (box.root / "alice" / "link.jsonl").symlink_to("a.jsonl")
    result = box.scan("--json")
    assert result.returncode == 0
    outcome = json.loads(result.stdout)
    assert outcome["failed"] == []
    usage = outcome["processors"][0]
    assert (usage["processor"], usage["sessions"], usage["lines"], usage["malformed"]) == ("usage", 1, 2, 1)
    for entry in result.stderr.splitlines():
        json.loads(entry)


def test_scan_prints_a_table_that_scripts_can_cut(box, line):
    box.append("alice/a.jsonl", line(1))
    result = box.scan()
    assert result.returncode == 0
    header, usage = (row.split("\t") for row in result.stdout.splitlines())
    assert dict(zip(header, usage, strict=True))["lines"] == "1"
    again = box.scan("--json")
    assert json.loads(again.stdout)["processors"][0]["lines"] == 0


FAILING = """
from processors import ProcessorResult, Table

class P:
    name = "failing"
    tables = (Table("failing", {"n": "BIGINT"}),)

    def process(self, batch):
        if b"poison" in batch.data:
            raise ValueError("secret text")
        return ProcessorResult(rows={"failing": [(1,)]})
"""


def test_scan_with_a_failure_exits_with_1_names_it_and_tries_it_again(box, line):
    box.plugin("failing", FAILING)
    box.append("alice/a.jsonl", line(1, "poison"))
    box.append("bob/b.jsonl", line(2))
    result = box.scan("--json", processors='["failing", "usage"]')
    assert result.returncode == 1
    assert "alice/a.jsonl" in result.stderr
    assert "secret text" not in result.stderr + result.stdout
    failed = json.loads(result.stdout)["failed"]
    assert [(each["processor"], each["session_file"]) for each in failed] == [("failing", "alice/a.jsonl")]
    assert box.query("SELECT session_file FROM failing") == [("bob/b.jsonl",)]
    assert box.query("SELECT count(*) FROM usage_session_summary") == [(2,)]
    assert box.scan(processors='["failing"]').returncode == 1
    box.plugin("failing", FAILING.replace("poison", "no such text"))
    assert box.scan(processors='["failing"]').returncode == 0
    assert box.scan(processors='["failing"]').returncode == 0


@pytest.mark.parametrize("command", ["scan", "run", "requeue", "reprocess"])
def test_a_locked_database_is_one_line_that_names_the_process(box, command):
    daemon = box.daemon(socket=box.folder / "elsewhere")
    arguments = {"scan": [box.root], "run": [box.root], "reprocess": ["usage"]}.get(command, [])
    result = box.sessiond(command, *arguments, "--db", box.db)
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("sessiond: ")
    assert str(daemon.process.pid) in last
    assert "Traceback" not in result.stderr
    if command != "run":  # which says first what it is about to do
        _one_line(result)
    assert daemon.stop() == 0


def test_a_file_that_is_no_database_is_left_alone(box):
    file = box.folder / "notes.txt"
    file.write_text("dear diary\n" * 1000)
    result = box.scan(db=file)
    assert result.returncode == 2
    assert "notes.txt" in _one_line(result)
    assert file.read_text() == "dear diary\n" * 1000


def test_a_database_of_a_newer_version_is_refused_and_untouched(box):
    assert box.scan().returncode == 0
    box.query("UPDATE sessiond_schema SET version = 999")
    before = box.db.read_bytes()
    result = box.scan()
    assert result.returncode == 2
    assert "999" in _one_line(result)
    assert box.db.read_bytes() == before


def test_check_config_shows_each_setting_and_where_it_is_from(box):
    config = box.folder / "c.toml"
    config.write_text("debounce_ms = 111\nworkers = 7\n")
    arguments = ["check-config", box.root, "--config", config, "--json"]
    result = box.sessiond(*arguments, workers=9)
    assert result.returncode == 0
    shown = json.loads(result.stdout)
    assert shown["root"] == {"value": str(box.root), "source": "command line"}
    assert shown["workers"] == {"value": 9, "source": "environment SESSIOND_WORKERS"}
    assert shown["debounce_ms"]["value"] == 111
    assert str(config) in shown["debounce_ms"]["source"]
    assert shown["max_delay_ms"]["source"] == "default"
    table = box.sessiond(*arguments[:-1])
    assert "debounce_ms\t111" in table.stdout


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [("debounce_ms", "-1", "0"), ("workers", "many", "integer"), ("log_level", "loud", "warning")],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_wrong_setting_is_one_line_with_its_name_value_and_what_is_allowed(box, setting, value, allowed, place):
    config = box.folder / "c.toml"
    config.write_text(f'{setting} = "{value}"\n' if place == "file" else "")
    env = {setting: value} if place == "environment" else {}
    result = box.sessiond("check-config", "--config", config, **env)
    assert result.returncode == 2
    text = _one_line(result)
    assert setting in text.lower()
    assert value in text
    assert allowed in text


@pytest.mark.parametrize("place", ["environment", "file"])
def test_an_unknown_setting_is_one_line_that_names_it(box, place):
    config = box.folder / "c.toml"
    config.write_text("debounce = 1\n" if place == "file" else "")
    env = {"debounce": 1} if place == "environment" else {}
    result = box.sessiond("check-config", "--config", config, **env)
    assert result.returncode == 2
    assert "debounce" in _one_line(result).lower()


def test_processors_lists_those_that_work_and_names_those_that_do_not(box):
    result = box.sessiond("processors", "--json")
    assert result.returncode == 0
    usage = next(each for each in json.loads(result.stdout)["processors"] if each["name"] == "usage")
    assert usage["version"] >= 1
    assert usage["source"].startswith("sessiond ")
    box.plugin("broken", "raise RuntimeError")
    result = box.sessiond("processors", "--json")
    assert result.returncode == 1
    assert "broken" in result.stderr
    assert [each["name"] for each in json.loads(result.stdout)["processors"]] == [
        each["name"] for each in json.loads(box.sessiond("processors", "--json").stdout)["processors"]
    ]


def test_a_broken_plugin_does_not_keep_the_others_from_running(box, line):
    box.plugin("broken", "class P: name = 5")
    box.append("alice/a.jsonl", line(1))
    daemon = box.daemon(processors="[]")
    daemon.wait("processor_unusable")
    daemon.wait_lines("alice/a.jsonl", 1)
    assert daemon.stop() == 0


def test_reprocess_has_rows_made_anew_and_keeps_those_of_deleted_sessions(box, line):
    box.append("alice/a.jsonl", line(1))
    box.append("bob/b.jsonl", line(2))
    assert box.scan().returncode == 0
    box.query("UPDATE usage_events SET tool_name = 'stale'")
    box.path("bob/b.jsonl").unlink()
    result = box.sessiond("reprocess", "usage", "--db", box.db, "--json")
    assert result.returncode == 0
    assert len(json.loads(result.stdout)) == 2
    assert box.scan().returncode == 0
    rows = box.query("SELECT session_file, tool_name FROM usage_events ORDER BY ALL")
    assert rows == [("alice/a.jsonl", "Bash"), ("bob/b.jsonl", "stale")]


def test_reprocess_of_one_session_leaves_the_others(box, line):
    for key in ("alice/a.jsonl", "alice/b.jsonl"):
        box.append(key, line(1))
    assert box.scan().returncode == 0
    box.query("UPDATE usage_events SET tool_name = 'stale'")
    arguments = ["reprocess", "usage", "--db", box.db, "--session"]
    assert box.sessiond(*arguments, "alice/a.jsonl").returncode == 0
    assert box.scan().returncode == 0
    rows = box.query("SELECT session_file, tool_name FROM usage_events ORDER BY ALL")
    assert rows == [("alice/a.jsonl", "Bash"), ("alice/b.jsonl", "stale")]
    assert box.sessiond(*arguments, "alice/nothing.jsonl").returncode == 2
    assert "alice/nothing.jsonl" in box.sessiond(*arguments, "alice/nothing.jsonl").stderr
    assert box.sessiond("reprocess", "no-such", "--db", box.db).returncode == 2


def test_requeue_of_nothing_says_nothing(box):
    assert box.scan().returncode == 0
    result = box.sessiond("requeue", "--db", box.db, "--json")
    assert (result.returncode, json.loads(result.stdout)) == (0, [])


def test_the_demo_counts_what_it_writes_and_leaves_nothing_behind(box, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    result = box.sessiond("demo", "--seconds", 2, "--json", env={"TMPDIR": str(temporary)})
    assert result.returncode == 0, result.stderr
    outcome = json.loads(result.stdout)
    assert outcome["lines_written"] == outcome["lines_counted"] > 0
    assert list(temporary.iterdir()) == []
    assert {path.name for path in box.folder.iterdir()} <= {"root", "tmp"}


def test_output_into_a_closed_pipe_is_no_error_message(box):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed, tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-m", "daemon.cli", "check-config"]
        subprocess.run(command, env=box.env(), cwd=box.folder, stdout=closed, stderr=errors, check=False)
        errors.seek(0)
        assert errors.read() == b""


def test_the_demo_writes_to_new_places_and_leaves_what_it_made_there(box):
    root, db = box.folder / "new" / "root", box.folder / "new" / "demo.duckdb"
    result = box.sessiond("demo", root, "--db", db, "--seconds", 2, "--json")
    assert result.returncode == 0, result.stderr
    counted = json.loads(result.stdout)["lines_counted"]
    assert sum(len(path.read_bytes().splitlines()) for path in root.rglob("*.jsonl")) == counted
    assert box.query("SELECT sum(lines) FROM usage_session_summary", db=db) == [(counted,)]
    for arguments in ([root], ["--root", root], ["--db", db]):
        again = box.sessiond("demo", *arguments)
        assert again.returncode == 2
        assert again.stderr.count("\n") == 1
        assert "holds something already" in again.stderr


@pytest.mark.parametrize(
    "settings", ['processors = ["nope"]', 'processors = ["usage"]\n[options.usage]\ntimezone = "Mars/Phobos"']
)
def test_settings_with_which_nothing_would_run_are_refused_before_it_is_tried(box, settings):
    (file := box.folder / "c.toml").write_text(settings)
    result = box.sessiond("check-config", "--quiet", "--config", file)
    assert result.returncode == 2
    assert "there is no processor to run" in _one_line(result)
