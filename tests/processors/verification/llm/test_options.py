"""The settings, where the key is from, and where the cache is."""

from pathlib import Path

import msgspec
import pytest

from processors.contract import PauseError
from processors.verification.llm import LlmExtractor, LlmOptions, check_installed
from processors.verification.llm.asking import close
from processors.verification.llm.options import NoKeyError
from processors.verification.model import Window


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "CREDENTIALS_DIRECTORY",
        "CACHE_DIRECTORY",
        "STATE_DIRECTORY",
    ):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


WRONG = {
    "an unknown provider": {"provider": "other"},
    "a key": {"api_key": "sk-1"},
    "no model": {"provider": "openai"},
    "a model with spaces": {"model": "a b"},
    "no URL": {"base_url": "here"},
    "another protocol": {"base_url": "file:///etc/passwd"},
    "a URL without a host": {"base_url": "http://"},
    "a URL with a password": {"base_url": "http://user:password@host/v1"},
    "a URL with a query": {"base_url": "http://host/v1?key=1"},
    "a wrong port": {"base_url": "http://host:99999/v1"},
    "a URL of two lines": {"base_url": "http://host/\nv1"},
    "a credential elsewhere": {"credential": "../key"},
    "no time": {"timeout": 0},
    "a time that is no number": {"timeout": float("nan")},
    "endless time": {"timeout": float("inf")},
    "no output": {"max_output_tokens": 0},
    "no place": {"concurrency": 0},
    "no requests": {"requests_per_minute": 0},
    "less than no tokens": {"daily_tokens": -1},
    "less than no retries": {"retries": -1},
    "a relative path": {"answers": "answers.sqlite"},
    "no days": {"answers_days": 0},
}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_wrong_settings(given):
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(given, LlmOptions)
    assert "password@" not in str(raised.value)


def test_right_settings():
    assert LlmOptions().model_name.startswith("claude-")
    given = {"provider": "openai", "model": "m", "base_url": "http://[::1]:8000/v1", "timeout": 90, "daily_tokens": 0}
    assert msgspec.convert(given, LlmOptions).place == "m (openai at [::1]:8000)"


def test_a_key_is_the_credential_or_the_environments(environment, tmp_path):
    environment.setenv("ANTHROPIC_API_KEY", "from-environment")
    assert LlmOptions().key() == "from-environment"
    environment.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert LlmOptions().key() == "from-environment"
    (tmp_path / "sessiond.llm_api_key").write_text("from-credential\n")
    (tmp_path / "mine").write_text("mine")
    assert LlmOptions().key() == "from-credential"
    assert LlmOptions(credential="mine").key() == "mine"


@pytest.mark.parametrize("raw", [b"two\nlines", b"sp ace", b"\xff\xfe", b"x" * 5000, b"a\x00"])
def test_what_is_no_key_is_not_sent_and_not_shown(environment, tmp_path, raw):
    environment.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "sessiond.llm_api_key").write_bytes(raw)
    with pytest.raises(NoKeyError) as raised:
        LlmOptions().key()
    assert raw.decode("latin-1") not in str(raised.value)


def test_a_credential_that_cannot_be_read(environment, tmp_path):
    environment.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "sessiond.llm_api_key").mkdir()
    with pytest.raises(NoKeyError, match=r"sessiond\.llm_api_key cannot be read: Is a directory"):
        LlmOptions().key()


def test_without_a_key_nothing_is_asked(tmp_path):
    asked = LlmExtractor(LlmOptions(answers=str(tmp_path / "answers.sqlite")))
    with pytest.raises(PauseError, match=r"there is no key .*sessiond\.llm_api_key .*ANTHROPIC_API_KEY") as raised:
        asked.extract(Window((), "x"))
    assert raised.value.seconds == 600
    close()


def test_a_server_of_ones_own_needs_no_key(model_server, environment, tmp_path):
    environment.delenv("OPENAI_API_KEY", raising=False)
    model_server.key = None
    options = LlmOptions(**model_server.options("openai"), answers=str(tmp_path / "answers.sqlite"))
    assert LlmExtractor(options).extract(Window((), "x")) == []


def test_where_answers_are(environment):
    environment.setenv("XDG_CACHE_HOME", "/home/x/.cache")
    assert LlmOptions().answers_path() == Path("/home/x/.cache/sessiond/answers.sqlite")
    environment.setenv("STATE_DIRECTORY", "/var/lib/sessiond:/var/lib/other")
    assert LlmOptions().answers_path() == Path("/var/lib/sessiond/answers.sqlite")
    environment.setenv("CACHE_DIRECTORY", "/var/cache/sessiond")
    assert LlmOptions().answers_path() == Path("/var/cache/sessiond/answers.sqlite")
    assert LlmOptions(answers="/srv/a").answers_path() == Path("/srv/a")


def test_a_missing_package_is_named(environment):
    environment.setattr("processors.verification.llm.options.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"openai is not there: pip install 'sessiond\[llm\]'"):
        check_installed(LlmOptions(provider="openai", model="m"))
