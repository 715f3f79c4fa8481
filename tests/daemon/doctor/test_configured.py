"""What is set: settings, processors, keys, time zones."""

import os

import pytest

from daemon.doctor import configured

KEY = "sk-ant-api03-0123456789abcdef"


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file."""

    def write(text):
        (tmp_path / "c.toml").write_text(text)
        return tmp_path / "c.toml"

    return write


@pytest.fixture
def units(monkeypatch, tmp_path):
    """The folder of the units, and the one of the credentials, both empty."""
    folders = tmp_path / "units", tmp_path / "credstore"
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(configured, "UNITS", (folders[0],))
    monkeypatch.setattr(configured, "CREDENTIALS", (folders[1],))
    return folders


def test_settings_say_where_they_are_from(ask, config):
    levels, says, _ = zip(*ask("settings", config("workers = 3\n")), strict=True)
    assert set(levels) == {"ok"}
    assert "root, db from command line" in says[0]
    assert "processors from environment SESSIOND_PROCESSORS" in says[0]
    assert "workers from file" in says[0]
    assert says[1] == "processors: usage"


@pytest.mark.parametrize("text", ["workers = 'many'\n", "no = 1\n", "=\n"])
def test_wrong_settings_are_an_error(ask, config, text):
    level, says, fix = ask("settings", config(text))[0]
    assert level == "error"
    assert "c.toml" in says
    assert fix


def test_settings_that_are_not_there_are_an_error(ask, tmp_path):
    level, says, _ = ask("settings", tmp_path / "no.toml")[0]
    assert (level, "no.toml" in says) == ("error", True)


def test_a_processor_that_nobody_has_is_an_error(ask, monkeypatch):
    monkeypatch.setenv("SESSIOND_PROCESSORS", '["usage", "nobody"]')
    level, says, fix = ask("settings")[0]
    assert level == "error"
    assert "nobody" in says
    assert fix


def test_no_key_is_all_right(ask, units):
    ((level, says, _),) = ask("llm")
    assert level == "ok"
    assert says == "no key; none of the registered processors asks a language model"


def test_a_key_that_only_root_can_read_is_all_right(ask, units):
    file = units[1] / configured.CREDENTIAL
    file.write_text(KEY)
    file.chmod(0o600)
    if os.getuid():
        pytest.skip("only root can make a file of root's")
    ((level, says, _),) = ask("llm")
    assert level == "ok"
    assert str(file) in says


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(
    ("content", "mode", "owner", "level", "fix"),
    [
        ("", 0o600, 0, "error", "write it anew"),
        (KEY, 0o640, 0, "warning", "chmod 600"),
        (KEY, 0o600, 65534, "warning", "chown root:root"),
    ],
)
def test_a_key_that_is_empty_or_open_or_of_another_user_is_told_of(ask, units, content, mode, owner, level, fix):
    file = units[1] / configured.CREDENTIAL
    file.write_text(content)
    file.chmod(mode)
    os.chown(file, owner, -1)
    ((found, says, hint),) = ask("llm")
    assert found == level
    assert fix in hint
    assert KEY not in says


@pytest.mark.parametrize(
    "text",
    [
        f"[Service]\nEnvironment=ANTHROPIC_API_KEY={KEY}\n",
        f'[Service]\nEnvironment="A=b" \\\n  "OPENAI_API_KEY={KEY}"\n',
    ],
)
def test_a_key_in_a_unit_is_a_warning_that_does_not_show_it(ask, units, text):
    (units[0] / "sessiond.service.d").mkdir()
    file = units[0] / "sessiond.service.d" / "key.conf"
    file.write_text(text)
    ((level, says, fix),) = ask("llm")
    assert level == "warning"
    assert f"{file} holds " in says
    assert f"/etc/credstore/{configured.CREDENTIAL}" in fix
    assert KEY not in says + fix


def test_a_unit_that_only_says_where_the_key_is_is_all_right(ask, units):
    (units[0] / "sessiond.service").write_text(
        "[Service]\n#Environment=OPENAI_API_KEY=x\nEnvironmentFile=/etc/keys\n"
    )
    assert ask("llm")[0][0] == "ok"


@pytest.mark.parametrize("text", [f'api_key = "{KEY}"', 'llm.token = "x"', f'header = "{KEY}"'])
def test_a_key_in_the_settings_is_a_warning_that_does_not_show_it(ask, units, config, text):
    ((level, says, fix),) = ask("llm", config(f"[options.grader]\n{text}\n"))
    assert level == "warning"
    assert "options.grader." in says
    assert "c.toml" in says
    assert KEY not in says + fix


def test_other_options_are_no_keys(ask, units, config):
    assert ask("llm", config('[options.usage]\ntimezone = "UTC"\n'))[0][0] == "ok"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_time_zone_that_is_known_is_named(ask, config, zone):
    stored, days = ask("timezone", config(f'[options.usage]\ntimezone = "{zone}"\n'))
    assert stored == ("ok", "stored times are UTC", "")
    assert days[0] == "ok"
    assert f"days of usage begin at midnight in {zone}" in days[1]


@pytest.mark.parametrize("zone", ["Europe/Bielefeld", "../etc/passwd", ""])
def test_a_time_zone_that_is_unknown_is_an_error(ask, config, zone):
    level, says, fix = ask("timezone", config(f'[options.grader]\ntimezone = "{zone}"\n'))[0]
    assert level == "error"
    assert "options.grader.timezone" in says
    assert "Europe/Berlin" in fix


def test_a_host_without_time_zones_is_an_error(ask, monkeypatch):
    monkeypatch.setattr(configured, "available_timezones", set)
    ((level, _, fix),) = ask("timezone")
    assert level == "error"
    assert "tzdata" in fix


ASKING = '[options.verification]\nextractor = "llm"\n'


def test_a_processor_that_asks_a_language_model_needs_a_key(ask, units, config, monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    ((level, says, fix),) = ask("llm", config(ASKING))
    assert level == "error"
    assert "there is no key" in says
    assert configured.CREDENTIAL in fix


@pytest.mark.parametrize(("private", "wanted"), [("yes", "error"), ("no", "ok"), (None, "ok")])
def test_a_processor_that_asks_a_language_model_needs_a_network(ask, units, config, monkeypatch, private, wanted):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr(configured, "output_of", lambda *_command: private)
    ((level, says, _),) = ask("llm", config(ASKING))
    assert level == wanted
    assert KEY not in says
