"""Ask sessiond from Python, whether its daemon runs or not.

    from daemon.client import connect

    rows = connect().query("SELECT username, count(*) FROM usage_events GROUP BY ALL")  # a pyarrow.Table

Without a daemon, the calling process opens the database for each call, and does the work: within the same limits, so
that while a query runs the whole process may ask for only so much more memory (see README).

pandas (``rows.to_pandas()``), polars (``polars.from_arrow(rows)``) and DuckDB (``duckdb.sql("FROM rows")``) take it
without copying.
"""

import http.client
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import pyarrow as pa

from daemon.api import endpoint
from daemon.config import SYSTEM_SOCKET, Settings, load, socket_of
from daemon.errors import (
    BusyError,
    ConfigError,
    LimitError,
    QueryError,
    SessiondError,
    UnavailableError,
    UnknownNameError,
    printable,
)
from daemon.export import write_parquet
from daemon.local import Local
from daemon.query.formats import ARROW

ANSWER_SECONDS = 10.0
"""A daemon says how it is in milliseconds; one that does not hangs, or was stopped."""

Progress = Callable[[str, int], None]

_ERRORS: dict[int, type[SessiondError]] = {400: QueryError, 404: UnknownNameError, 409: BusyError}


class Client(Protocol):
    """What can be asked, and of whom does not matter: of the daemon, or of its database while it does not run."""

    running: bool
    """Whether a daemon answers."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The result of a query.

        Args:
            sql: one statement that reads.
            parameters: for ``?`` or ``$1`` in it: texts, numbers, booleans, None.

        Raises:
            QueryError: it is no SQL, or not allowed, or failed; with DuckDB's message.
            LimitError: it is too slow or too large; ``limit`` names the setting.
            UnavailableError, StoreError: nobody answers.

        """
        ...

    def status(self) -> dict[str, Any]:
        """How it is; ``running`` says whether a daemon does. README lists the fields."""
        ...

    def sessions(self, user: str | None = None, state: str | None = None) -> list[dict[str, Any]]:
        """What is known of sessions, see ``GET /sessions`` in README."""
        ...

    def quarantine(self) -> list[dict[str, Any]]:
        """What failed too often: ``processor``, ``session_file``, ``attempts``, ``error``, ``failed_at``."""
        ...

    def retrying(self) -> list[dict[str, Any]]:
        """What failed and is tried again: the same, and ``retry_at``: None if no daemon runs."""
        ...

    def run_processor(self, processor: str) -> dict[str, Any]:
        """Run a processor on all that it has not processed; returns what :func:`daemon.run_processor` does."""
        ...

    def reprocess(self, processor: str, user: str | None = None, session: str | None = None) -> list[dict[str, str]]:
        """Have a processor start anew on all its sessions, a user's, or one; returns which."""
        ...

    def requeue(self, processor: str | None = None, session: str | None = None) -> list[dict[str, str]]:
        """Give what is in quarantine a new chance; returns which."""
        ...

    def order(self, processor: str, order: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """Have a processor carry out an order of its own, such as ``approve`` of ``verification``; see README."""
        ...

    def export(self, folder: Path, tables: Sequence[str] = (), progress: Progress = ...) -> dict[str, int]:
        """Write tables as Parquet, one folder each; returns the number of rows by table."""
        ...


def connect(
    socket: str | Path | None = None, db: str | Path | None = None, config: str | Path | None = None
) -> Client:
    """A client of the daemon, or of the database if no daemon runs.

    Args:
        socket: the daemon's; None: the one of these settings, or the system's.
        db: the database; None: as in the settings.
        config: the file with the settings; None: the default one.

    Raises:
        ConfigError: the settings are wrong.
        UnavailableError: no daemon answers at ``socket``, or it may not be asked.

    """
    settings, sources = load({"socket": socket, "db": db}, None if config is None else Path(config))
    return found(settings, sources)


def found(settings: Settings, sources: Mapping[str, str]) -> Client:
    """The client for these settings; ``sources`` tells which of them were given."""
    candidates = [socket_of(settings)]
    if settings.socket is None and SYSTEM_SOCKET not in candidates:
        candidates.append(SYSTEM_SOCKET)
    refused: UnavailableError | None = None
    for path in candidates:
        remote = Remote(path)
        try:
            answered = remote.status()
        except UnavailableError as error:
            refused = error if isinstance(error.__cause__, PermissionError) else refused
            continue
        real = printable(os.path.realpath(settings.db))
        if sources["db"] == "default" or settings.socket is not None or answered["db"] == real:
            return remote
    if refused is not None and not _is_there(settings.db):
        raise refused
    if settings.socket is not None and not _is_there(settings.db):
        raise UnavailableError(f"no daemon answers at {printable(settings.socket)}", "start it, or check --socket")
    return Local(settings)


def _is_there(path: Path) -> bool:
    """Whether one can see it: what lies in a folder of somebody else is not there."""
    return os.path.exists(path)  # noqa: PTH110  # Path.exists() raises for a folder that one may not look into


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float | None) -> None:
        super().__init__("sessiond")
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        """Connect; called by the base class."""
        self.sock = endpoint.connect(self._path)
        self.sock.settimeout(self._seconds)


class Remote:
    """A client of the daemon behind a socket; see :class:`Client`. Each call has a connection of its own."""

    running = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        """See :meth:`Client.query`."""
        headers = {"Accept": ARROW, "Content-Type": "application/json"}
        with self._ask("POST", "/query", {"sql": sql, "parameters": list(parameters)}, headers) as answer:
            return pa.ipc.open_stream(answer).read_all()

    def status(self) -> dict[str, Any]:
        """See :meth:`Client.status`."""
        with self._ask("GET", "/status", seconds=ANSWER_SECONDS) as answer:
            return {"running": True, **json.load(answer)}

    def sessions(self, user: str | None = None, state: str | None = None) -> list[dict[str, Any]]:
        """See :meth:`Client.sessions`."""
        asked = {name: value for name, value in (("user", user), ("state", state)) if value is not None}
        listed: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            page = self._json("GET", "/sessions?" + urlencode(asked | {"after": after}, errors="surrogatepass"))
            listed += page["sessions"]
            after = page["next"]
        return listed

    def quarantine(self) -> list[dict[str, Any]]:
        """See :meth:`Client.quarantine`."""
        return list(self._json("GET", "/quarantine")["quarantine"])

    def retrying(self) -> list[dict[str, Any]]:
        """See :meth:`Client.retrying`."""
        return list(self._json("GET", "/quarantine")["retrying"])

    def run_processor(self, processor: str) -> dict[str, Any]:
        """See :meth:`Client.run_processor`."""
        return self._json("POST", f"/processors/{_quoted(processor)}/run")

    def reprocess(self, processor: str, user: str | None = None, session: str | None = None) -> list[dict[str, str]]:
        """See :meth:`Client.reprocess`."""
        address = f"/processors/{_quoted(processor)}/reprocess"
        return list(self._json("POST", address, {"user": user, "session": session})["sessions"])

    def requeue(self, processor: str | None = None, session: str | None = None) -> list[dict[str, str]]:
        """See :meth:`Client.requeue`."""
        return list(
            self._json("POST", "/quarantine/requeue", {"processor": processor, "session": session})["sessions"]
        )

    def order(self, processor: str, order: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """See :meth:`Client.order`."""
        return self._json("POST", f"/processors/{_quoted(processor)}/orders/{_quoted(order)}", dict(fields))

    def scan(self) -> dict[str, Any]:
        """Have the daemon compare every file with what was processed, now; see ``POST /scan`` in README."""
        return self._json("POST", "/scan")

    def export(
        self, folder: Path, tables: Sequence[str] = (), progress: Progress = lambda _table, _rows: None
    ) -> dict[str, int]:
        """See :meth:`Client.export`."""
        address = "/export?" + urlencode([("table", table) for table in tables], errors="surrogatepass")
        with self._ask("GET", address) as answer:
            written = write_parquet(answer, folder, progress)
            answer.read()  # its end comes when the daemon is done with it, and may be asked for the next one
            return written

    def _json(self, method: str, address: str, body: object = None) -> dict[str, Any]:
        with self._ask(method, address, body) as answer:
            return dict(json.load(answer))

    def _ask(
        self,
        method: str,
        address: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> "_Answer":
        connection = _Connection(self._path, seconds)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, address, data, dict(headers or {}))
            response = connection.getresponse()
            failed = response.read() if response.status >= http.client.BAD_REQUEST else None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise UnavailableError(
                f"the daemon ends the connection: {type(error).__name__}", "see its log"
            ) from error
        except BaseException:
            connection.close()
            raise
        if failed is not None:
            connection.close()
            raise _error(response.status, failed)
        return _Answer(connection, response)


class _Answer:
    """The body of a response: a file that raises errors of ours."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; fewer at the end only.

        Raises:
            UnavailableError: the daemon has ended before its answer.

        """
        try:
            return self._response.read(None if size < 0 else size)
        except (OSError, http.client.HTTPException) as error:
            raise UnavailableError("the daemon has cut its answer off", "see its log") from error

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_error: object) -> None:
        self.closed = True
        self._connection.close()


def _quoted(name: str) -> str:
    """As part of an address; a name that is no UTF-8 is one that nobody knows."""
    return quote(name, safe="", errors="surrogatepass")


def _error(status: int, body: bytes) -> SessiondError:
    try:
        told = json.loads(body)
        what, hint = str(told["error"]), str(told.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        return UnavailableError(f"the daemon answers {status}", "see its log")
    if limit := told.get("limit"):
        return LimitError(what, str(limit), hint)
    if status in _ERRORS:
        return _ERRORS[status](what, hint)
    return ConfigError(what, hint) if status < http.client.INTERNAL_SERVER_ERROR else UnavailableError(what, hint)
