"""Failed runs: how often, on which content, and since when they are left alone."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from daemon.arrow import insert
from daemon.config import Settings
from daemon.cursor import Signature, utc_now

_SCHEMA = pa.schema(
    [
        ("processor_name", pa.string()),
        ("session_file", pa.string()),
        ("content", pa.string()),
        ("device", pa.uint64()),
        ("inode", pa.uint64()),
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("ctime_ns", pa.int64()),
        ("attempts", pa.int32()),
        ("quarantined", pa.bool_()),
        ("error", pa.string()),
        ("failed_at", pa.timestamp("us")),
    ]
)


@dataclass(frozen=True, slots=True)
class Failure:
    """A processor's failures on one content of one session.

    Attributes:
        content: what it failed on: processor version and hash; anything else is a new chance.
        signature: of the file then; None if the process died before it was known.
        attempts: how often it failed on that content.
        quarantined: it is not tried again on that content.
        error: of the last attempt, safe to show.

    """

    processor: str
    session_key: str
    content: str
    signature: Signature | None
    attempts: int
    quarantined: bool
    error: str
    failed_at: datetime


def once_more(
    known: Failure | None,
    processor: str,
    key: str,
    content: str,
    signature: Signature | None,
    error: str,
    at: datetime,
    max_attempts: int,
) -> Failure:
    """A further failure of a processor on a session: counted with those before it, if it is on the same content."""
    attempts = 1 + (known.attempts if known is not None and known.content == content else 0)
    return Failure(processor, key, content, signature, attempts, attempts >= max_attempts, error, at)


class Failures:
    """One processor's failures by session, and when each is tried again. Not locked: guarded by the lane."""

    def __init__(self, processor: str, settings: Settings) -> None:
        self.known: dict[str, Failure] = {}
        self._processor = processor
        self._settings = settings
        self._retry_at: dict[str, float] = {}

    def add(
        self, key: str, content: str, signature: Signature | None, error: str, now: float
    ) -> tuple[Failure, float]:
        """Count a failure; returns it, and when the next attempt is due: never, if it is quarantined."""
        at, limit = utc_now(), self._settings.max_attempts
        failure = once_more(self.known.get(key), self._processor, key, content, signature, error, at, limit)
        longest = self._settings.backoff_max_seconds
        wait = min(self._settings.backoff_seconds * 2 ** (failure.attempts - 1), longest)
        wait *= random.uniform(0.8, 1.2)  # noqa: S311  # spreads retries, guards nothing
        self.known[key] = failure
        self._retry_at[key] = math.inf if failure.quarantined else now + wait
        return failure, self._retry_at[key]

    def retry_at(self, key: str, contents: Sequence[str]) -> float | None:
        """When a failure on one of these is tried again: infinite in quarantine; None if there was none."""
        failure = self.known.get(key)
        if failure is None or failure.content not in contents:
            return None
        return math.inf if failure.quarantined else self._retry_at.get(key, 0.0)

    def waits(self, now: float) -> dict[str, float]:
        """Seconds until each session that failed, and is not in quarantine, is tried again."""
        return {
            key: max(0.0, self._retry_at.get(key, now) - now)
            for key, failure in self.known.items()
            if not failure.quarantined
        }

    def hurry(self, key: str) -> None:
        """The next attempt on a session may be made now, if it is not in quarantine."""
        self._retry_at.pop(key, None)

    def forgive(self, key: str, failed_at: datetime) -> None:
        """The database forgot the failure of that time; one that came after it counts."""
        if (failure := self.known.get(key)) is not None and failure.failed_at <= failed_at:
            self.drop(key)

    def drop(self, key: str) -> bool:
        """The session succeeded or is gone; returns whether it had failed before."""
        self._retry_at.pop(key, None)
        return self.known.pop(key, None) is not None


def remember(conn: duckdb.DuckDBPyConnection, failures: Sequence[Failure]) -> None:
    """Replace what is known of these processors' failures on these sessions, inside the caller's transaction."""
    # All at once: where everything fails, as when a service is down, nobody else may have to wait for the notes.
    latest = {(failure.processor, failure.session_key): failure for failure in failures}
    keys: dict[str, list[str]] = {}
    for processor, key in latest:
        keys.setdefault(processor, []).append(key)
    for processor, its in keys.items():
        forget(conn, processor, its)
    if latest:
        columns = zip(*map(_row, latest.values()), strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)]
        insert(conn, "session_failures", pa.table(arrays, _SCHEMA))


def _row(failure: Failure) -> tuple[object, ...]:
    return (
        failure.processor,
        failure.session_key,
        failure.content,
        *(failure.signature or [None] * 5),
        failure.attempts,
        failure.quarantined,
        failure.error,
        failure.failed_at,
    )


def forget(conn: duckdb.DuckDBPyConnection, processor: str, keys: Sequence[str]) -> None:
    """These sessions succeeded, or get a new chance."""
    conn.execute(
        "DELETE FROM session_failures WHERE processor_name = ? AND session_file IN (SELECT unnest(?))",
        [processor, list(keys)],
    )


def load_failures(conn: duckdb.DuckDBPyConnection, processor: str) -> dict[str, Failure]:
    """What is known of a processor's failures, by session key."""
    rows = conn.execute(
        f"SELECT {', '.join(_SCHEMA.names)} FROM session_failures WHERE processor_name = ?", [processor]
    ).fetchall()
    return {row[1]: _failure(row) for row in rows}


def _failure(row: tuple[object, ...]) -> Failure:
    name, key, content, *signature, attempts, quarantined, error, failed_at = row
    return Failure(
        str(name),
        str(key),
        str(content),
        None if signature[0] is None else Signature(*signature),  # type: ignore[arg-type]  # five numbers
        int(attempts),  # type: ignore[call-overload]  # an INTEGER column
        bool(quarantined),
        str(error),
        failed_at,  # type: ignore[arg-type]  # a TIMESTAMP column
    )


def requeue(
    conn: duckdb.DuckDBPyConnection, processor: str | None, key: str | None
) -> list[tuple[str, str, datetime]]:
    """Give quarantined sessions a new chance; returns (processor, session, when it failed) of each, in order.

    Args:
        conn: where.
        processor, key: only these; None: all.

    """
    deleted = conn.execute(
        "DELETE FROM session_failures WHERE quarantined AND processor_name = coalesce(?, processor_name)"
        " AND session_file = coalesce(?, session_file) RETURNING processor_name, session_file, failed_at",
        [processor, key],
    ).fetchall()
    return sorted(deleted)
