"""Settings: which source wins, where each value came from, and one line about a wrong one."""

import errno
import re
from pathlib import Path

import pytest

from daemon import config
from daemon.config import SYSTEM_SOCKET, Settings, load
from daemon.errors import ConfigError
from processors.registry import load as load_processors


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    """No settings from outside the test."""
    import os  # noqa: PLC0415

    for name in list(os.environ):
        if name.startswith("SESSIOND_"):
            monkeypatch.delenv(name)
    for name in ("SESSION_DATA_DIR", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sessiond.toml"
    path.write_text('debounce_ms = 300\nroot = "/from/file"\nprocessors = ["usage"]\n')
    return path


def test_everything_has_a_default_and_a_description(tmp_path):
    settings, sources = load({})
    assert set(sources) == set(Settings.model_fields)
    assert set(sources.values()) == {"default"}
    assert settings.root == Path("/data/user_sessions")
    assert settings.db == tmp_path / "home/.local/state/sessiond/sessiond.duckdb"
    assert all(field.description for field in Settings.model_fields.values())


def test_flags_win_over_environment_over_file_over_default(file, monkeypatch):
    names = ("debounce_ms", "root")

    def effective(flags):
        settings, sources = load(flags, file)
        return [(getattr(settings, name), sources[name]) for name in names]

    assert effective({}) == [(300, f"file {file}"), (Path("/from/file"), f"file {file}")]
    monkeypatch.setenv("SESSIOND_DEBOUNCE_MS", "400")
    monkeypatch.setenv("SESSIOND_ROOT", "/from/environment")
    assert effective({"root": None}) == [
        (400, "environment SESSIOND_DEBOUNCE_MS"),
        (Path("/from/environment"), "environment SESSIOND_ROOT"),
    ]
    flags = {"debounce_ms": 500, "root": Path("/from/flag")}
    assert effective(flags) == [(500, "command line"), (Path("/from/flag"), "command line")]


def test_what_a_source_does_not_say_is_left_to_the_next(file, monkeypatch):
    monkeypatch.setenv("SESSIOND_WORKERS", "7")
    settings, sources = load({"max_delay_ms": 900}, file)
    assert (settings.debounce_ms, settings.workers, settings.max_delay_ms) == (300, 7, 900)
    assert settings.processors == ["usage"]
    assert sources["max_attempts"] == "default"


def test_session_data_dir_is_the_root_unless_sessiond_root_is_set(file, monkeypatch):
    monkeypatch.setenv("SESSION_DATA_DIR", "/from/other")
    settings, sources = load({}, file)
    assert (settings.root, sources["root"]) == (Path("/from/other"), "environment SESSION_DATA_DIR")
    monkeypatch.setenv("SESSIOND_ROOT", "/from/own")
    settings, sources = load({}, file)
    assert (settings.root, sources["root"]) == (Path("/from/own"), "environment SESSIOND_ROOT")


def test_the_database_lies_in_the_state_directory_of_the_service(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert load({})[0].db == Path("/home/x/state/sessiond/sessiond.duckdb")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/sessiond:/var/lib/other")
    assert load({})[0].db == Path("/var/lib/sessiond/sessiond.duckdb")


def test_a_file_in_the_usual_place_or_named_in_the_environment_is_read(file, tmp_path, monkeypatch):
    usual = tmp_path / "config/sessiond/config.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text("workers = 9\n")
    assert load({})[0].workers == 9
    monkeypatch.setenv("SESSIOND_CONFIG", str(file))
    settings, sources = load({})
    assert (settings.workers, settings.debounce_ms) == (2, 300)
    assert sources["debounce_ms"] == f"file {file}"


def test_paths_are_absolute_and_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings, _ = load({"root": Path("here"), "db": Path("~/x.duckdb")})
    assert (settings.root, settings.db) == (tmp_path / "here", tmp_path / "home/x.duckdb")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("debounce_ms", "-1", "greater than or equal to 0"),
        ("debounce_ms", "soon", "integer"),
        ("workers", "0", "greater than or equal to 1"),
        ("workers", "65", "less than or equal to 64"),
        ("chunk_bytes", "5", "greater than or equal to 1024"),
        ("memory_limit", "lots", "[MGT]"),
        ("isolation_memory", "much", "[MGT]"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("scan_seconds", "nan", ""),
    ],
)
def test_a_wrong_value_gets_one_line_that_names_setting_value_source_and_what_is_allowed(
    monkeypatch, name, value, allowed
):
    monkeypatch.setenv(f"SESSIOND_{name.upper()}", value)
    with pytest.raises(ConfigError) as caught:
        load({})
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"environment SESSIOND_{name.upper()}: {name} is ")
    assert value in text
    assert allowed in text


def test_a_wrong_value_of_one_processor_names_the_processor(file):
    file.write_text('[isolation]\nusage = "process"\nother = "box"\n')
    with pytest.raises(ConfigError, match=rf"file {file}: isolation\.other is 'box': .*'thread' or 'process'"):
        load({}, file)


def test_a_wrong_value_in_the_file_names_the_file(file):
    file.write_text("workers = 'many'\n")
    with pytest.raises(ConfigError, match=rf"file {file}: workers is 'many': .*integer"):
        load({}, file)


def test_a_setting_that_does_not_exist_is_named_with_those_that_do(file, monkeypatch):
    file.write_text("worker = 2\n")
    with pytest.raises(ConfigError, match=rf"file {file}: there is no setting worker .*workers"):
        load({}, file)
    file.write_text("")
    monkeypatch.setenv("SESSIOND_WORKER", "2")
    with pytest.raises(ConfigError, match=r"environment SESSIOND_WORKER: .*SESSIOND_WORKERS"):
        load({}, file)


@pytest.mark.parametrize("content", [b"workers = ", b"\xff", b"[workers]\nx = 1\n", b"workers = 1\nworkers = 2\n"])
def test_a_file_that_cannot_be_used_is_named_in_one_line(file, content):
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=str(file)) as caught:
        load({}, file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"missing\.toml.*--config"):
        load({}, tmp_path / "missing.toml")


def test_processors_from_the_environment_are_a_list(monkeypatch):
    monkeypatch.setenv("SESSIOND_PROCESSORS", '["usage", "other"]')
    assert load({})[0].processors == ["usage", "other"]
    monkeypatch.setenv("SESSIOND_PROCESSORS", "usage")
    with pytest.raises(ConfigError, match="SESSIOND_PROCESSORS"):
        load({})


def test_the_service_s_database_is_the_default_for_who_may_see_it(monkeypatch, tmp_path):
    (tmp_path / "service").write_bytes(b"")
    monkeypatch.setattr(config, "SYSTEM_DATABASE", tmp_path / "service")
    assert load({})[0].db == tmp_path / "service"
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    assert load({})[0].db == tmp_path / "state" / "sessiond.duckdb"
    monkeypatch.delenv("STATE_DIRECTORY")
    monkeypatch.setattr(config, "SYSTEM_DATABASE", Barred(tmp_path / "service"))
    assert load({})[0].db == tmp_path / "home/.local/state/sessiond/sessiond.duckdb"


class Barred:
    """A file in a folder that one may not look into."""

    def __init__(self, path):
        self.path = path

    def is_file(self):
        raise PermissionError(errno.EACCES, "Permission denied", str(self.path))


def test_the_settings_that_are_shipped_name_each_one_with_its_default(tmp_path):
    shipped = (Path(__file__).parents[2] / "systemd" / "config.toml").read_text()
    assert not [line for line in shipped.splitlines() if line and not line.startswith("#")]
    uncommented = re.sub(r"(?m)^#(?=[\[a-z])", "", shipped)
    (file := tmp_path / "config.toml").write_text(uncommented)
    settings, sources = load({}, file)
    assert {name for name, source in sources.items() if source == f"file {file}"} == set(Settings.model_fields)
    of_a_service = {"db": Path("/var/lib/sessiond/sessiond.duckdb"), "socket": SYSTEM_SOCKET}
    for name, field in Settings.model_fields.items():
        if name not in {"options", "isolation"}:
            assert getattr(settings, name) == of_a_service.get(name, field.default), name
    processors, errors = load_processors(["usage", "verification"], settings.options, settings.isolation)
    assert (len(processors), errors) == (2, [])


def test_a_home_that_nobody_has_is_a_folder_of_that_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load({"db": Path("~nosuchuser/x.duckdb")})[0].db == tmp_path / "~nosuchuser/x.duckdb"
