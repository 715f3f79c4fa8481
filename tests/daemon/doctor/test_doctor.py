"""All checks together: none is a traceback, none hides another, nothing harmful is shown."""

from pathlib import Path

import pytest

from daemon.doctor import CHECKS, EXIT_CODES, Finding, SkipError, examine, worst
from daemon.errors import UnavailableError


def _fails(_patient):
    yield Finding("b", "ok", "so far")
    raise ValueError("what a transcript says")


def _refuses(_patient):
    raise UnavailableError("the daemon has gone", "start it")


def _skips(_patient):
    raise SkipError("there is nothing to look at")


def test_a_check_that_raises_is_an_error_that_names_it_and_the_others_are_made(patient):
    checks = {"a": _skips, "b": _fails, "c": _refuses, "d": lambda _patient: [Finding("d", "ok", "well")]}
    first, second, failed, refused, last = examine(patient(), checks)
    assert first == Finding("a", "skipped", "there is nothing to look at")
    assert second == Finding("b", "ok", "so far")
    assert (failed.check, failed.level) == ("b", "error")
    assert "ValueError" in failed.says
    assert "transcript" not in failed.says
    assert refused == Finding("c", "error", "the daemon has gone", "start it")
    assert last == Finding("d", "ok", "well")


def test_what_is_said_cannot_act_on_a_terminal(patient):
    (found,) = examine(patient(), {"a": lambda _patient: [Finding("a", "error", "x\x1b[31m\ny", "rm \x07")]})
    assert found == Finding("a", "error", r"x\x1b[31m\ny", r"rm \x07")


@pytest.mark.parametrize(
    ("levels", "level", "code"),
    [
        (["ok", "skipped"], "ok", 0),
        (["ok", "warning", "skipped"], "warning", 1),
        (["warning", "error", "ok"], "error", 2),
    ],
)
def test_the_worst_level_is_the_exit_code(levels, level, code):
    found = worst(Finding("a", each, "") for each in levels)
    assert (found, EXIT_CODES[found]) == (level, code)


def test_all_checks_say_something_on_a_new_host(patient, root, database):
    (root / "alice/a.jsonl").write_bytes(b"{}\n")
    found = list(examine(patient()))
    assert list(dict.fromkeys(each.check for each in found)) == list(CHECKS)
    assert [each for each in found if each.level == "error"] == []
    assert not database.exists()
    assert not database.parent.exists()


def test_all_checks_say_something_where_nothing_is_known(patient, tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("debounce = 1\n")
    found = list(examine(patient(config, root=None, db=None)))
    assert list(dict.fromkeys(each.check for each in found)) == list(CHECKS)
    assert found[0].level == "error"
    assert "debounce" in found[0].says
    assert [each.check for each in found if "itself failed" in each.says] == []
    unknown = {each.check: each.level for each in found}
    assert {unknown[name] for name in ("root", "files", "filesystem", "disk", "database", "state")} == {"skipped"}


def test_a_root_in_a_home_that_nobody_has_is_not_there(patient):
    found = list(examine(patient(root=Path("~no-such-user/sessions"))))
    assert {each.level for each in found if each.check == "root"} == {"error"}
    assert "itself failed" not in " ".join(each.says for each in found)


def test_a_root_on_the_command_line_is_looked_at_although_the_settings_are_wrong(patient, root, tmp_path):
    (root / "alice/a.jsonl").write_bytes(b"{}\n")
    config = tmp_path / "c.toml"
    config.write_text("workers = 'many'\n")
    found = {each.check: each for each in examine(patient(config))}
    assert found["files"].says.startswith("1 session file,")
    assert found["database"].level == "ok"
