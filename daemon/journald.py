"""journald's own protocol: each field of an event by its own name, so that journalctl finds entries by it.

The fields are those of systemd.journal-fields(7), and for all that is sessiond's own: EVENT, PROCESSOR, SESSION_FILE,
RUN_ID, SESSIOND_USER, ITEMS, DURATION_MS, ERROR; any other field ``x`` of an event is SESSIOND_X.
"""

import threading
import uuid
from pathlib import Path

from logging_journald import JournaldTransport

from daemon.errors import printable
from daemon.events import Level

JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
NAMESPACE = uuid.UUID("6f1d0a4e-6a0b-4f0c-9a50-0d2f3f1b7c11")
"""Of the message ids; it never changes, or catalogues and filters of operators would not find them any more."""

SHOWN = 1000
"""Characters of a value that are shown in a MESSAGE; its own field has all of it."""

PRIORITIES: dict[Level, int] = {"debug": 7, "info": 6, "warning": 4, "error": 3}
_OWN = {"processor", "session_file", "run_id", "items", "duration_ms", "error"}


def message_id(event: str) -> str:
    """The MESSAGE_ID of an event, as journald writes it: 32 hexadecimal digits, the same for ever."""
    return uuid.uuid5(NAMESPACE, event).hex


def entry_of(level: Level, event: str, fields: dict[str, object]) -> dict[str, str]:
    """The fields of a journal entry. No value has a line break or anything else that acts on a terminal."""
    shown = {name: printable(value) for name, value in fields.items() if value is not None}
    said = ", ".join(f"{name}={value:.{SHOWN}}" for name, value in shown.items())
    entry = {
        "MESSAGE": f"{event}: {said}" if said else event,
        "MESSAGE_ID": message_id(event),
        "PRIORITY": str(PRIORITIES[level]),
        "SYSLOG_IDENTIFIER": "sessiond",
        "EVENT": event,
    }
    if "session_file" in shown:
        entry["SESSIOND_USER"] = shown["session_file"].partition("/")[0]
    return entry | {(name if name in _OWN else f"sessiond_{name}").upper(): value for name, value in shown.items()}


class Journald:
    """Sends events to the journal. May be called by any thread; never waits and never fails.

    What the journal has no room for is lost, and counted: the next entry that it takes says how many were
    (SESSIOND_LOST). A field that is too large for a datagram goes through a sealed memory file.
    """

    def __init__(self, path: Path = JOURNAL_SOCKET) -> None:
        self._transport = JournaldTransport(path, connected=False)
        self._transport.socket.setblocking(False)
        self._sending = threading.Lock()
        self._lost = 0

    def __call__(self, level: Level, event: str, fields: dict[str, object]) -> None:
        """Send one."""
        entry = entry_of(level, event, fields)
        with self._sending:
            if self._lost:
                entry["SESSIOND_LOST"] = str(self._lost)
            try:
                self._transport.send(entry.items())
            except OSError:  # the journal is full or restarting
                self._lost += 1
            else:
                self._lost = 0

    def close(self) -> None:
        """Release the socket."""
        self._transport.socket.close()
