"""What the settings may say of the language model, and what is only found at the host: its key and the cache."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

MODEL = "claude-haiku-5-5"
"""Anthropic's small one. Of other providers, the settings have to name one."""

_VARIABLES = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_MODEL = re.compile(r"[\x21-\x7e]{1,200}")
_KEY = re.compile(r"[\x21-\x7e]{1,4096}")  # what a header can carry


class NoKeyError(Exception):
    """There is no key, or what is there is none; the message says where it was looked for, and nothing of it."""


class LlmOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The settings. No key is among them: see :meth:`key`.

    Attributes:
        provider: whose protocol is spoken: ``anthropic``, or ``openai``, which many servers speak.
        model: its name; not given: :data:`MODEL`, for the provider ``anthropic`` only.
        base_url: where the model is, if not at the provider's own place, as the provider's client has it:
            ``http://127.0.0.1:8000/v1`` for ``openai``, without the ``/v1`` for ``anthropic``.
        credential: the name of systemd's credential that holds the key.
        timeout: seconds until an answer has to be there, whole.
        max_output_tokens: an answer that would be longer is none.
        retries: how often a request is made again within a run, if the provider is busy or fails.
        concurrency: requests at the same time, over all threads of a process.
        requests_per_minute: of a process, in any minute.
        daily_tokens: input and output, of all processes with the same ``answers``, from midnight to midnight in UTC.
            It is never exceeded. 0: nothing is asked; answers that are known are still used.
        answers: the file that answers and the day's tokens are kept in; not given: ``answers.sqlite`` in the
            service's folder, see :meth:`answers_path`. What it holds is as private as the transcripts.
        answers_mb: its greatest size; the oldest answers go first.
        answers_days: how long an answer is kept at most.

    """

    provider: Literal["anthropic", "openai"] = "anthropic"
    model: str = ""
    base_url: str = ""
    credential: str = "sessiond.llm_api_key"
    timeout: float = 60.0
    max_output_tokens: int = 8192
    retries: int = 2
    concurrency: int = 4
    requests_per_minute: int = 60
    daily_tokens: int = 5_000_000
    answers: str = ""
    answers_mb: int = 256
    answers_days: int = 90

    def __post_init__(self) -> None:
        if not self.model and self.provider != "anthropic":
            raise ValueError(f"model is not given: name one that the provider {self.provider!r} has")
        if self.model and not _MODEL.fullmatch(self.model):
            raise ValueError("model has to be a name without spaces")
        if self.base_url:
            _check_url(self.base_url)
        if not _NAME.fullmatch(self.credential):
            raise ValueError("credential has to be the name of a credential, such as sessiond.llm_api_key")
        for name, least, most in (
            ("timeout", 0.1, 3600),
            ("max_output_tokens", 256, 1_000_000),
            ("retries", 0, 10),
            ("concurrency", 1, 64),
            ("requests_per_minute", 1, 100_000),
            ("daily_tokens", 0, 10**12),
            ("answers_mb", 1, 1_000_000),
            ("answers_days", 1, 36_500),
        ):
            if not least <= getattr(self, name) <= most:  # nor is it, if it is no number
                raise ValueError(f"{name} has to be from {least:,} to {most:,}")
        if self.answers and not Path(self.answers).is_absolute():
            raise ValueError("answers has to be an absolute path")

    @property
    def model_name(self) -> str:
        """The model that is asked."""
        return self.model or MODEL

    @property
    def place(self) -> str:
        """What is asked and where, for people."""
        where = f" at {urlsplit(self.base_url).netloc}" if self.base_url else ""
        return f"{self.model_name} ({self.provider}{where})"

    def answers_path(self) -> Path:
        """Where answers are kept: in ``$CACHE_DIRECTORY`` or ``$STATE_DIRECTORY`` of systemd, or the user's cache."""
        if self.answers:
            return Path(self.answers)
        for variable in ("CACHE_DIRECTORY", "STATE_DIRECTORY"):
            if folder := os.environ.get(variable, "").partition(":")[0]:
                return Path(folder) / "answers.sqlite"
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(home) / "sessiond" / "answers.sqlite"

    def key(self) -> str:
        """The provider's key: systemd's credential, else the environment's; empty, if a server may need none.

        Raises:
            NoKeyError: there is none, or it cannot be read, or it is no key.

        """
        variable = _VARIABLES[self.provider]
        hint = f"the credential {self.credential} (see LoadCredential= in the unit) or {variable}"
        found = self._credential() or os.environ.get(variable, "").strip()
        if not found and (self.provider == "anthropic" or not self.base_url):
            raise NoKeyError(f"there is no key for {self.place}: set {hint}")
        if found and not _KEY.fullmatch(found):
            raise NoKeyError(f"the key for {self.place} holds something that no key has: look at {hint}")
        return found

    def _credential(self) -> str:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            return ""
        try:
            with (Path(folder) / self.credential).open("rb") as file:
                return file.read(8192).decode("latin-1").strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise NoKeyError(f"the credential {self.credential} cannot be read: {error.strerror}") from None


def check_installed(options: LlmOptions) -> None:
    """Check that the provider's own client is there; it is imported when it is first used.

    Raises:
        ValueError: it is not; the message says how to install it.

    """
    if find_spec(options.provider) is None:
        raise ValueError(f"the Python package {options.provider} is not there: pip install 'sessiond[llm]'")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("base_url has to be a URL such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("base_url has to be without a name, password, query or fragment: a key is no setting")
