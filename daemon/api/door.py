"""Who may come in: everybody on the Unix socket, whose mode decides; on loopback, who only reads and names this host.

A web page can have a browser on this host send requests, under a name of its own that leads here (DNS rebinding), or
without waiting for an answer. Both can be told: by the header ``Host``, and by those that only browsers send.
"""

import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.api.replies import failure
from daemon.errors import printable
from daemon.events import Events

READS = frozenset({("GET", path) for path in ("/healthz", "/status", "/sessions", "/quarantine", "/metrics")})
ASKS = ("POST", "/query")


class Door:
    """In front of the application: lets in, and tells what was asked.

    Args:
        inside: the application.
        events: told of each request.
        listen: HOST:PORT on loopback, or empty.

    """

    def __init__(self, inside: ASGIApp, events: Events, listen: str) -> None:
        self._inside = inside
        self._events = events
        port = listen.rpartition(":")[2]
        self._hosts = {listen, f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        began = time.monotonic()
        statuses = [499]  # what proxies write for a client that has gone

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses[:] = [message["status"]]
            await send(message)

        peer = scope["state"]["peer"]
        refusal = None if peer is not None else self._refusal(scope)
        try:
            await (refusal or self._inside)(scope, receive, noted)
        finally:
            what = f"{scope['method']} {printable(scope['path'])[:200]}"
            who, routine = str(peer or "loopback"), scope["method"] == "GET"
            self._events.asked(what, who, statuses[0], time.monotonic() - began, routine=routine)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        """Why a request on loopback is not let in."""
        headers = Headers(scope=scope)
        request = ("GET" if scope["method"] == "HEAD" else scope["method"], scope["path"])
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return failure(421, "the request is for another host", "use the address that sessiond listens on")
        if request not in READS and request != ASKS:
            return failure(403, "this is answered on the Unix socket only", "see sessiond status")
        if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
            return failure(403, "web pages may not ask", "type the address, or use curl")
        return None
