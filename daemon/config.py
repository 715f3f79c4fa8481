"""Settings: flags before environment before file before defaults, and where each one came from."""

import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.errors import ConfigError, printable

ENV_PREFIX = "SESSIOND_"
DEFAULT_ROOT = Path("/data/user_sessions")
SOCKET_NAME = "sessiond.sock"
SYSTEM_DATABASE = Path("/var/lib/sessiond/sessiond.duckdb")
SYSTEM_SOCKET = Path("/run/sessiond") / SOCKET_NAME
_SIZE = r"^0*[1-9]\d*(\.\d+)? ?[MGT]i?B$"
_LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|localhost|\[::1\]):(\d{1,5})")


def default_database() -> Path:
    """``$STATE_DIRECTORY`` under systemd; else the service's, for who may see it; else the user's state folder."""
    if state := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(state) / "sessiond.duckdb"
    with suppress(OSError):
        if SYSTEM_DATABASE.is_file():
            return SYSTEM_DATABASE
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "sessiond" / "sessiond.duckdb"


def default_file() -> Path | None:
    """The configuration file that is read if none is named, if there is one."""
    folders = [os.environ.get("CONFIGURATION_DIRECTORY", "").partition(":")[0] or "/etc/sessiond"]
    folders.append(str(Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "sessiond"))
    return next((file for folder in folders if (file := Path(folder) / "config.toml").is_file()), None)


def socket_of(settings: "Settings") -> Path:
    """Where a daemon with these settings is asked."""
    if settings.socket is not None:
        return settings.socket
    if folder := os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(folder) / SOCKET_NAME
    return Path(f"{os.path.realpath(settings.db)}.sock")  # whatever name of the file was given


def bytes_of(size: str) -> int:
    """A size as DuckDB writes it, in bytes: ``512MB``, ``1.5 GiB``."""
    number, unit, binary = re.fullmatch(r"([\d.]+) ?([MGT])(i?)B", size).groups()  # type: ignore[union-attr]  # _SIZE
    return int(float(number) * (1024 if binary else 1000) ** (2 + "MGT".index(unit)))


class Settings(BaseSettings):
    """All settings of the daemon. The descriptions are what ``sessiond check-config`` shows."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    root: Path = Field(DEFAULT_ROOT, description="folder of the users' folders with session files")
    db: Path = Field(default_factory=default_database, description="the DuckDB file")
    processors: list[str] = Field([], description="names of the processors to run; empty: all that are registered")
    options: dict[str, dict[str, Any]] = Field({}, description="what a processor takes of the settings, by its name")
    isolation: dict[str, Literal["thread", "process"]] = Field(
        {}, description="how a processor runs, by its name: in a thread of the daemon, or in a process of its own"
    )
    isolation_memory: str = Field(
        "", pattern=f"^$|{_SIZE}", description="what a process of a processor may take; empty: no limit"
    )
    debounce_ms: int = Field(200, ge=0, le=60_000, description="quiet time to wait for after a change")
    max_delay_ms: int = Field(1000, ge=0, le=600_000, description="the longest that the debounce delays a change")
    settle_seconds: float = Field(5.0, gt=2, le=3600, description="quiet time before a session is checked whole")
    scan_seconds: float = Field(300.0, ge=1, le=86_400, description="time between two full scans")
    fallback_scan_seconds: float = Field(
        5.0, ge=0.5, le=86_400, description="the same where the kernel reports no changes"
    )
    workers: int = Field(2, ge=1, le=64, description="threads of each incremental processor")
    max_attempts: int = Field(5, ge=1, le=100, description="failures on one content before quarantine")
    backoff_seconds: float = Field(1.0, gt=0, le=86_400, description="wait before the first retry; doubles each time")
    backoff_max_seconds: float = Field(300.0, gt=0, le=86_400, description="the longest wait before a retry")
    chunk_bytes: int = Field(8 << 20, ge=1 << 10, le=1 << 30, description="of a session processed at a time")
    line_limit_bytes: int = Field(64 << 20, ge=1 << 10, le=1 << 30, description="longer lines are skipped")
    stop_seconds: float = Field(5.0, ge=0, le=600, description="time that runs get to finish on a stop")
    memory_limit: str = Field("512MB", pattern=_SIZE, description="of the database")
    database_threads: int = Field(1, ge=1, le=64, description="threads of the database")
    socket: Path | None = Field(
        None, description="where the daemon is asked; none: in $RUNTIME_DIRECTORY, or beside the database"
    )
    listen: str = Field("", description="HOST:PORT on loopback where what only reads is answered too; empty: nowhere")
    queries: int = Field(2, ge=1, le=64, description="queries that run at the same time")
    query_seconds: float = Field(30.0, gt=0, le=86_400, description="the longest that one query may run")
    query_memory: str = Field("128MB", pattern=_SIZE, description="what one query may use")
    query_rows: int = Field(1_000_000, ge=1, description="the most rows that one query may give")
    query_bytes: int = Field(64 << 20, ge=1 << 10, description="the most bytes that one query may give")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    @field_validator("root", "db", "socket")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        # resolve() would follow symbolic links, and Path.expanduser() raises where there is no such user
        return None if path is None else Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111

    @field_validator("listen")
    @classmethod
    def _loopback(cls, address: str) -> str:
        if address and not ((found := _LOOPBACK.fullmatch(address)) and 0 < int(found[2]) < 1 << 16):
            raise ValueError("it has to be an address of this host only, such as 127.0.0.1:8765")
        return address

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what :func:`load` gives: it merges the sources itself, to know where each value is from."""
        return (init_settings,)


def load(flags: Mapping[str, Any], file: Path | None = None) -> tuple[Settings, dict[str, str]]:
    """The effective settings, and for each its source: flag, environment, file or default.

    Args:
        flags: settings from the command line; None stands for "not given".
        file: the configuration file; None: the default one, if there is one.

    Raises:
        ConfigError: names the setting, its value, where it is from and what is allowed.

    """
    given = {name: value for name, value in flags.items() if value is not None}
    environment = _environment()
    file = file or _path_from_environment() or default_file()
    from_file = _read(file) if file else {}
    values = from_file | environment | given
    sources = dict.fromkeys(Settings.model_fields, "default")
    sources |= dict.fromkeys(from_file, f"file {file}")
    sources |= {name: _variable(name) for name in environment}
    sources |= dict.fromkeys(given, "command line")
    try:
        return Settings(**values), sources
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if name not in Settings.model_fields:
            allowed = ", ".join(Settings.model_fields)
            raise ConfigError(
                f"{sources[name]}: there is no setting {printable(name)}", f"there are: {allowed}"
            ) from None
        what = first["msg"][0].lower() + first["msg"][1:]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{sources[name]}: {printable(place)} is {printable(repr(first['input']))}: {what}",
            Settings.model_fields[name].description or "",
        ) from None


def _variable(name: str) -> str:
    if name == "root" and not os.environ.get("SESSIOND_ROOT"):
        return "environment SESSION_DATA_DIR"
    return f"environment {ENV_PREFIX}{name.upper()}"


def _environment() -> dict[str, Any]:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields} | {f"{ENV_PREFIX}CONFIG"}
    for variable in os.environ:
        if variable.startswith(ENV_PREFIX) and variable not in known:
            raise ConfigError(
                f"environment {printable(variable)}: there is no such setting", ", ".join(sorted(known))
            )
    try:
        values = dict(EnvSettingsSource(Settings)())
    except ValueError as error:
        raise ConfigError(
            "environment SESSIOND_PROCESSORS or SESSIOND_OPTIONS is no JSON",
            """for example ["usage"], and {"usage": {"timezone": "UTC"}}""",
        ) from error
    if "root" not in values and (folder := os.environ.get("SESSION_DATA_DIR")):
        values["root"] = folder
    return values


def _path_from_environment() -> Path | None:
    path = os.environ.get(f"{ENV_PREFIX}CONFIG")
    return Path(path) if path else None


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {printable(file)}: {error.strerror}", "check --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{printable(file)} is no TOML: {error}", "check that line") from error
