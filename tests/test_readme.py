"""The README is true: its example runs, its commands are the ones that CI runs, its tables name what exists."""

import json
import re
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from daemon import open_database, run_processor
from daemon.api.app import Api
from daemon.api.door import ASKS, READS
from daemon.cli import app
from daemon.config import Settings
from daemon.events import Events
from processors.registry import load
from processors.testing import check_fold
from processors.usage.reports import REPORTS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block_after(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README, re.DOTALL)
    assert found, marker
    return found[1]


def example():
    names: dict = {}
    exec(compile(block_after("an example that a test runs"), "README.md", "exec"), names)
    return names["Models"]()


def test_the_example_is_a_processor_that_gives_its_rows(tmp_path):
    folder = tmp_path / "root" / "ada"
    folder.mkdir(parents=True)
    lines = [{"type": "assistant", "message": {"model": f"m{number}"}} for number in range(3)]
    (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with open_database(tmp_path / "x.duckdb") as conn:
        assert run_processor(conn, example(), tmp_path / "root")["items_extracted"] == 3
        with (folder / "a.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"message": {"model": "m3"}}\n')
        run_processor(conn, example(), tmp_path / "root")
        rows = conn.execute("SELECT model, line, username FROM models_used ORDER BY line").fetchall()
    assert rows == [("m0", 0, "ada"), ("m1", 1, "ada"), ("m2", 2, "ada"), ("m3", 3, "ada")]


def test_the_example_is_a_fold():
    check_fold(example(), [b'{"message":{"model":"a"}}', b"broken", b"{}", b'{"message":{"model":"b"}}'], [1, 2, 3])


def test_the_example_has_about_ten_lines():
    code = [line for line in block_after("an example that a test runs").splitlines() if line.strip()]
    assert len(code) <= 10


def test_every_command_is_in_the_table_and_every_row_is_a_command():
    rows = set(re.findall(r"^\| `sessiond ([\w-]+)", README, re.MULTILINE))
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    assert rows == commands


def test_every_table_that_is_named_exists(tmp_path):
    section = README.split("## What is in the database")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))
    with open_database(tmp_path / "x.duckdb") as conn:
        from processors.usage import UsageProcessor  # noqa: PLC0415
        from processors.verification import VerificationProcessor  # noqa: PLC0415

        run_processor(conn, UsageProcessor(), tmp_path)
        run_processor(conn, VerificationProcessor(), tmp_path)
        there = {name for (name,) in conn.execute("SELECT table_name FROM information_schema.tables").fetchall()}
    assert named <= there


def test_every_address_is_in_the_table_and_every_row_is_an_address():
    rows = set(re.findall(r"^\| `(GET|POST) (/[^`]*)`", README, re.MULTILINE))
    routes = Api(None, None, None, None, Events(), "").app._inside.routes
    assert rows == {(method, route.path) for route in routes for method in route.methods - {"HEAD"}}
    asterisks = set(re.findall(r"^\| `(GET|POST) (/[^`]*)` \*", README, re.MULTILINE))
    assert asterisks == READS | {ASKS}


def test_every_setting_that_limits_a_query_is_named():
    assert all(f"`{name}`" in README for name in Settings.model_fields if name.startswith("quer"))


def test_the_client_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("SESSIOND_DB", str(tmp_path / "x.duckdb"))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    with open_database(tmp_path / "x.duckdb") as conn:
        from processors.usage import UsageProcessor  # noqa: PLC0415

        run_processor(conn, UsageProcessor(), tmp_path)
    names: dict = {}
    exec(compile(block_after("a client that a test runs"), "README.md", "exec"), names)
    assert names["rows"].column_names == ["username", "calls"]


def test_the_settings_are_taken():
    found, errors = load(["usage"], tomllib.loads(block_after("settings that a test loads"))["options"])
    assert ([spec.name for spec in found], errors) == (["usage"], [])


def test_the_settings_of_knowledge_are_taken():
    options = tomllib.loads(block_after("knowledge settings that a test loads"))["options"]
    found, errors = load(["verification"], options)
    assert ([spec.name for spec in found], errors) == (["verification"], [])


def test_the_isolation_is_taken():
    settings = Settings(**tomllib.loads(block_after("an isolation that a test loads")))
    assert settings.isolation == {"models": "process"}


def test_every_report_is_named():
    section = README.split("## Reports")[1].split("\n## ")[0]
    assert all(f"`{name}`" in section for name in REPORTS)


def test_the_help_names_every_command():
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(
        name in shown for name in ("run", "scan", "demo", "processors", "requeue", "reprocess", "check-config")
    )
