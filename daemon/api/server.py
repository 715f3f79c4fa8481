"""The thread *api*: an event loop in which uvicorn serves the application.

It owns the listening sockets and nothing else. What takes long is done by the query threads and by a few threads
*order-n*; the loop waits for them. It is woken by its sockets, stops when :meth:`Server.close` is called, and if it
dies, :meth:`Server.tick` starts it anew: the daemon's work does not depend on it.
"""

import asyncio
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from daemon.api.endpoint import BACKLOG, identity, listen, remove
from daemon.audit import Peer
from daemon.errors import ConfigError, SessiondError, describe, printable
from daemon.events import Events

REQUEST_SECONDS = 10.0
"""How long a client may take to say what it wants, and how long it may say nothing."""

MOST_CONNECTIONS = 256
"""Who asks while there are more is told to come later."""

MOST_SILENT = 1024
"""Who connects while there are so many is not even heard: each takes a descriptor, which sessions need, too."""

STOP_SECONDS = 1
RESTART_SECONDS = 5.0


class _Protocol(H11Protocol):
    """Knows who is connected, and does not wait for ever for a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        peer = Peer.of(connection) if connection.family == socket.AF_UNIX else None
        self.app_state = {**self.app_state, "peer": peer}
        self._silent_since = self.loop.time()
        self._look()
        if len(self.connections) > MOST_SILENT:
            transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._silent_since = self.loop.time()

    def _look(self) -> None:
        now = self.loop.time()
        if self not in self.connections:
            return  # it has ended
        if self.transport.is_closing():  # and what is on its way to a client that does not read goes with it
            if now - self._silent_since > REQUEST_SECONDS:
                self.transport.abort()
                return
        elif self.cycle is not None and not self.cycle.response_complete:
            self._silent_since = now
            if self._has_gone():
                self.transport.abort()
                return
        elif now - self._silent_since > REQUEST_SECONDS:
            self.transport.abort()
            return
        self.loop.call_later(REQUEST_SECONDS / 4, self._look)

    def _has_gone(self) -> bool:
        """Whether the client has closed its side.

        The event loop does not hear of that while more than one request is there, as it does not read then.
        """
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))


class Server:
    """Serves an application on a Unix socket, and on loopback if ``address`` (HOST:PORT) is given.

    Raises (on creation):
        StoreLockedError: another daemon listens there.
        ConfigError: the socket or the address cannot be used.

    """

    def __init__(self, path: Path, address: str, application: Any, events: Events) -> None:
        self._path = path
        self._address = address
        self._application = application
        self._events = events
        self._closed = False
        self._died = 0.0
        for name in ("uvicorn", "asyncio"):  # what clients send is not for logs
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [logging.NullHandler()], False
        self._open()

    def start(self) -> None:
        """Begin to serve."""
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)
        self._thread.start()
        self._events.listening(printable(self._path))
        if self._address:
            self._events.listening(self._address)

    def tick(self) -> None:
        """Start it anew if it has died; call this about every second."""
        if self._closed or self._thread.is_alive() or time.monotonic() - self._died < RESTART_SECONDS:
            return
        try:
            self._open()
        except SessiondError as error:
            self._died = time.monotonic()
            self._events.api_failed(describe(error))
        else:
            self.start()

    def stop(self) -> None:
        """Take no more requests, and end those under way; :meth:`close` waits for that."""
        self._closed = True
        self._server.should_exit = True

    def close(self, timeout: float) -> bool:
        """Stop, and return whether the thread has ended in time."""
        self.stop()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _open(self) -> None:
        self._sockets = [listen(self._path)]
        self._identity = identity(self._path)
        try:
            if self._address:
                self._sockets.append(_loopback(self._address))
        except BaseException:
            self._sockets[0].close()
            remove(self._path, self._identity)
            raise
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._application,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=BACKLOG,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_graceful_shutdown=STOP_SECONDS,
                h11_max_incomplete_event_size=16 << 10,
            )
        )

    def _run(self) -> None:
        try:
            self._server.run(self._sockets)
        except BaseException as error:  # noqa: BLE001  # whatever it is, the daemon goes on without it
            self._events.api_failed(describe(error))
        finally:
            self._died = time.monotonic()
            for each in self._sockets:
                with suppress(OSError):
                    each.close()
            remove(self._path, self._identity)


def _loopback(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(port)))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen on {address}: {error.strerror}", "choose another port") from error
    return listening


Application = Callable[..., Any]
