"""Who gave which order: one row of ``audit_log`` for each call that changes anything, whatever came of it."""

import json
import os
import pwd
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from daemon.cursor import utc_now

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a Unix socket, as the kernel vouches for it, see unix(7)."""

    pid: int
    uid: int
    gid: int

    @classmethod
    def of(cls, connection: socket.socket) -> "Peer":
        """Who is connected."""
        return cls(
            *_CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        )

    @classmethod
    def myself(cls) -> "Peer":
        """The calling process."""
        return cls(os.getpid(), os.geteuid(), os.getegid())

    @property
    def username(self) -> str:
        """The user's name on this host, or the number if there is none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def __str__(self) -> str:
        return f"{self.username} (uid {self.uid}, pid {self.pid})"


def summary(answer: object) -> str:
    """What came of an order, in short: its figures, and how long its lists are."""
    if isinstance(answer, list):
        return f"sessions: {len(answer)}"
    if not isinstance(answer, Mapping):
        return ""
    parts = {name: len(value) if isinstance(value, list) else value for name, value in answer.items()}
    return ", ".join(f"{name}: {value}" for name, value in parts.items())


def record(
    conn: duckdb.DuckDBPyConnection,
    peer: Peer,
    action: str,
    parameters: Mapping[str, object],
    outcome: str,
    detail: str,
) -> None:
    """Add a row, inside the caller's transaction.

    Args:
        conn: where.
        peer: who.
        action: what, for example ``reprocess``.
        parameters: as they were given; kept as JSON.
        outcome: ``done``, or ``failed``.
        detail: what came of it, or why it failed.

    """
    values = [
        utc_now(),
        peer.uid,
        peer.gid,
        peer.pid,
        peer.username,
        action,
        json.dumps(parameters),
        outcome,
        detail,
    ]
    conn.execute("INSERT INTO audit_log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
