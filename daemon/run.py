"""One run: a look at a session, handed to one processor, becomes what has to be committed.

No threads and no state here; the lanes and ``run_processor`` both work through this.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb
from blake3 import blake3

from daemon.commit import Commit
from daemon.cursor import Cursor, Place, Signature, username_of
from daemon.errors import ContractError
from daemon.failures import forget
from daemon.guard import GuardedConnection
from daemon.look import Look
from daemon.positions import ADOPTED, Entry, append, forget_position
from daemon.processing import Given, Lines, Process, count_of, processor_errors
from daemon.store import scalar, transaction
from daemon.transcript import Transcripts
from processors.contract import ProcessorResult
from processors.registry import Registered

_TRANSACTION = "SELECT txid_current()"


@dataclass(frozen=True, slots=True)
class Job:
    """One session that a processor has to be run on.

    Attributes:
        before: the cursor that the processor has for it, perhaps of another version.
        recorded: the file hash that another tool recorded, where there is no cursor.
        moved_from: the session's former keys: more than one if it had several names at once.

    """

    key: str
    before: Cursor | None
    recorded: str | None = None
    moved_from: tuple[str, ...] = ()

    def valid(self, version: int) -> Cursor | None:
        """The cursor, if the processor can go on from it."""
        return self.before if self.before is not None and self.before.version == version else None

    def recorded_hash(self, version: int) -> str | None:
        """What another tool has processed, if nothing was processed here since."""
        if self.before is None:
            return self.recorded
        # Of another version than the processor's: it was asked for anew, or is to be replaced.
        adopted = self.before.fingerprint == ADOPTED and self.before.version == version
        return self.before.file_hash if adopted else None


def content_of(spec: Registered, look: Look) -> str:
    """What a run is about: a failure counts against exactly this."""
    return f"{spec.version}:{look.fingerprint if spec.incremental else look.file_hash}"


def begin_of(spec: Registered, job: Job, look: Look) -> str:
    """What a run begins with: the death of the process counts against this.

    Unlike the content, it stays the same while lines are appended: one that kills the process would otherwise get
    a new chance to with each of them.
    """
    if not spec.incremental:
        return f"{spec.version}:from:{look.signature.inode}"
    before = job.before.fingerprint if job.before is not None and look.start else ""
    first = look.data[: look.data.find(b"\n") + 1]
    return f"{spec.version}:from:{blake3(before.encode() + first).hexdigest()}"


def run_incremental(
    spec: Registered,
    process: Process,
    job: Job,
    look: Look,
    at: datetime,
) -> Commit:
    """Run an incremental processor on the new lines of a look.

    Args:
        spec: the processor.
        process: hands lines to it: in this thread, or in a process of its own.
        job, look: what is known of the session, and what is new in it.
        at: the time that the rows get.

    Raises:
        ProcessorFailedError: nothing of it may be kept.
        NotStartedError: the processor could not be run at all.

    """
    key, before = job.key, None if look.start == 0 else job.before
    replaced = look.start == 0 and (job.before is not None or job.recorded is not None)
    given, began = Given(carry=before.carry if before else None), time.monotonic()
    if look.data or look.skipped:
        given = process(
            Lines(
                key,
                look.data,
                is_first=before is None or before.lines + before.malformed_lines == 0,
                carry=before.carry if before else None,
                skipped=look.skipped,
                utf8=look.utf8,
            ),
            at,
        )
    cursor = cursor_after(
        spec, look, before, carry=given.carry, lines=given.lines, malformed=given.malformed, items=given.items
    )
    return Commit(
        Entry(spec.name, key, cursor, at),
        replaces=(key,) if replaced or given.replaces else (),
        moved_from=job.moved_from,
        rows=given.rows,
        updates=given.updates,
        lines=given.lines,
        malformed=given.malformed,
        items=given.items,
        ratios=given.ratios,
        bytes=look.offset - look.start + len(given.carry or b""),
        ran=bool(look.data or look.skipped or look.rewrite),
        took=time.monotonic() - began,
    )


def cursor_after(
    spec: Registered,
    look: Look,
    before: Cursor | None,
    *,
    carry: bytes | None,
    lines: int = 0,
    malformed: int = 0,
    items: int = 0,
) -> Cursor:
    """The cursor that a look leads to. ``before``: the cursor that it went on from, None for a fresh start."""
    return Cursor(
        signature=look.signature,
        offset=look.offset,
        fingerprint=look.fingerprint,
        place=look.place,
        settled=look.settled,
        version=spec.version,
        carry=carry,
        lines=lines + (before.lines if before else 0),
        malformed_lines=malformed + (before.malformed_lines if before else 0),
        items=items + (before.items if before else 0),
        file_hash=look.file_hash,
    )


def look_whole(transcripts: Transcripts, spec: Registered, key: str, before: Cursor | None) -> tuple[Look, Cursor]:
    """Look at a session until where it ends now, for a processor that reads it itself.

    What is appended meanwhile is for the next run: a file may grow more quickly than it is read.
    """
    first: Look | None = None
    cursor = before
    while True:
        look = transcripts.look(key, cursor)
        goes_on = None if look.start == 0 else cursor
        lines = look.data.count(b"\n")
        cursor = cursor_after(spec, look, goes_on, carry=None, lines=lines, malformed=look.skipped)
        first = first or look
        if not look.more or look.offset >= first.signature.size:
            recheck = look.recheck or look.more
            changed = first.changed or look.changed
            return replace(look, more=False, recheck=recheck, rewrite=first.rewrite, changed=changed), cursor


def run_whole(
    spec: Registered,
    conn: duckdb.DuckDBPyConnection,
    root: Path,
    job: Job,
    cursor: Cursor,
    at: datetime,
    *,
    heals: bool = False,
    claim: Callable[[], None] = lambda: None,
    odd_result: Callable[[str], None] = lambda _kind: None,
) -> Commit:
    """Run a whole-session processor; what it writes and the log's entry are one transaction on ``conn``.

    Args:
        cursor: where :func:`look_whole` has led.
        heals: the processor had failed on this session before.
        claim: called right before the commit; raises if the run does not count any more.
        odd_result: told the type of a result that is none.

    Raises:
        ProcessorFailedError: nothing of it was kept.
        duckdb.Error: it could not be committed, as where somebody else changed the same rows meanwhile.

    """
    began = time.monotonic()
    # A processor may insert from its own variables, which DuckDB then has to look for behind the guard.
    conn.execute("SET python_scan_all_frames = true")
    with transaction(conn):
        number = scalar(conn, _TRANSACTION)
        with processor_errors():
            guarded = GuardedConnection(conn)
            result = spec.processor.process_session(root / job.key, username_of(job.key), job.key, guarded)
        if not isinstance(result, ProcessorResult):
            odd_result(type(result).__name__)
            result = ProcessorResult()
        with processor_errors():
            items = count_of(result)
        conn.abort()  # a result that the processor has left unread would be in the way
        with processor_errors():
            if scalar(conn, _TRANSACTION) != number:
                raise ContractError(f"{spec.name} has ended the transaction", "what it wrote may be there twice")
        if _signature(root / job.key) != cursor.signature:
            # What the processor has read is unknown. With no hash, it is run again even if all is as it was before.
            cursor = replace(cursor, file_hash="", settled=False)
        entry = Entry(spec.name, job.key, replace(cursor, items=items), at)
        claim()
        if heals or job.moved_from:
            forget(conn, spec.name, [job.key, *job.moved_from])
        for old in job.moved_from:
            forget_position(conn, spec.name, old)
        append(conn, [entry])
    return Commit(
        entry,
        moved_from=job.moved_from,
        lines=cursor.lines,
        malformed=cursor.malformed_lines,
        items=items,
        ran=True,
        took=time.monotonic() - began,
    )


def _signature(path: Path) -> Signature | None:
    try:
        return Signature.of(path.lstat())
    except OSError:
        return None


def taken_over(spec: Registered, transcripts: Transcripts, job: Job, look: Look, at: datetime) -> Commit | None:
    """What takes over that another tool has processed a session as it is; None: the processor has to see it.

    Where it changes, it is processed from the start, because the other tool left no carry.

    Raises:
        SessionError: the file cannot be read.

    """
    recorded = job.recorded_hash(spec.version)
    if recorded is None or transcripts.digest(job.key, like=recorded) != recorded:
        return None
    empty = Look(look.signature, 0, ADOPTED, Place.LINE_START, settled=True, file_hash=recorded, start=0)
    entry = Entry(spec.name, job.key, cursor_after(spec, empty, None, carry=None), at)
    return Commit(entry, moved_from=job.moved_from)


def touched(spec: Registered, job: Job, cursor: Cursor, at: datetime) -> Commit | None:
    """What is left to commit of a whole session of which only the times or the name changed; None: it has changed.

    ``cursor``: where :func:`look_whole` has led.
    """
    before = job.valid(spec.version)
    if before is None or before.file_hash != cursor.file_hash:
        return None
    return Commit(Entry(spec.name, job.key, replace(cursor, items=before.items), at), moved_from=job.moved_from)
