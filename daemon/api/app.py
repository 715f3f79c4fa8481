"""The HTTP API: what may be asked, and in which form it is answered; README describes it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import duckdb
import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daemon.api.door import Door
from daemon.api.listing import MOST, STATES, sessions
from daemon.api.metrics import CONTENT_TYPE, Metrics
from daemon.api.orders import Orders, Work
from daemon.api.replies import (
    SEND_SECONDS,
    PatientResponse,
    RefusedError,
    body_of,
    failure,
    failure_of,
    fields_of,
    parameters_of,
    unless_gone,
    unobserved,
)
from daemon.control import Control, Stopped
from daemon.errors import BusyError, CancelledError, SessiondError, UnavailableError, describe, printable
from daemon.events import Events
from daemon.export import stream_tables
from daemon.health import Health
from daemon.query.asked import Asked
from daemon.query.formats import chosen, encode
from daemon.query.queries import Queries

MOST_UNSENT = 256 << 20
"""Bytes of answers that may wait for clients that do not read on."""

LEAST_BYTES_PER_SECOND = 1 << 20
"""Of an export, whose transaction holds back what later ones have deleted, and one of the query threads."""

_SQL_TYPES = {"application/sql", "application/json"}


class _Asking(msgspec.Struct, forbid_unknown_fields=True):
    """A query with parameters, as JSON."""

    sql: str
    parameters: list[str | int | float | bool | None] = []


class Api:
    """The application: ``app`` is what a server serves. Its handlers run in the server's event loop.

    ``orders`` are those that were given, and are to be closed with it.
    """

    def __init__(
        self, control: Control, health: Health, queries: Queries, metrics: Metrics, events: Events, listen: str
    ) -> None:
        self._control = control
        self._health = health
        self._queries = queries
        self._metrics = metrics
        self._events = events
        self.orders = Orders(control, events)
        self._unsent = 0  # bytes of answers that are not sent yet; the event loop's own
        self._exporting: Asked | None = None
        routes = [
            Route("/healthz", self._healthz),
            Route("/status", self._status),
            Route("/sessions", self._sessions),
            Route("/quarantine", self._quarantine),
            Route("/metrics", self._show_metrics),
            Route("/query", self._query, methods=["POST"]),
            Route("/export", self._export),
            Route("/scan", self._scan, methods=["POST"]),
            Route("/quarantine/requeue", self._requeue, methods=["POST"]),
            Route("/processors/{name}/run", self._run, methods=["POST"]),
            Route("/processors/{name}/reprocess", self._reprocess, methods=["POST"]),
            Route("/processors/{name}/orders/{order}", self._processors_order, methods=["POST"]),
        ]
        handlers: Any = {SessiondError: self._on_error, duckdb.Error: self._on_error, Exception: self._on_error}
        handlers |= {404: _not_found(routes), 405: _wrong_method}
        self.app = Door(Starlette(routes=routes, exception_handlers=handlers), events, listen)

    # What only reads

    async def _healthz(self, _request: Request) -> Response:
        reasons = self._health.reasons()
        return JSONResponse({"healthy": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def _status(self, _request: Request) -> Response:
        return JSONResponse(self._health.status())

    async def _quarantine(self, _request: Request) -> Response:
        return JSONResponse(self._health.failures())

    async def _show_metrics(self, _request: Request) -> Response:
        return Response(self._metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _sessions(self, request: Request) -> Response:
        asked = parameters_of(request, {"user", "state", "after", "limit"})
        if (state := asked.get("state")) is not None and state not in STATES:
            raise RefusedError(422, f"there is no state {state!r}", f"there are: {', '.join(STATES)}")
        limit = asked.get("limit", "1000")
        if not (limit.isdecimal() and len(limit) <= len(str(MOST)) and 0 < int(limit) <= MOST):
            raise RefusedError(422, f"limit is {limit[:20]!r}", f"a number from 1 to {MOST:,}")
        lanes = self._control.states()
        after, user = asked.get("after", ""), asked.get("user")
        found = self._queries.read(
            lambda reader: sessions(reader, lanes, username=user, state=state, after=after, limit=int(limit))
        )
        return JSONResponse(await self._answer(request, found))

    async def _query(self, request: Request) -> Response:
        media_type = chosen(request.headers.get("accept", "*/*"))
        if media_type is None:
            raise RefusedError(
                406, "no form that Accept names is there", "JSON, NDJSON, CSV and Arrow are, see README"
            )
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.state.peer is None and kind not in _SQL_TYPES:
            # What a web page may send without the browser asking first is not taken.
            raise RefusedError(415, "a query has to be of type application/sql or application/json")
        asking = _asking(await body_of(request), kind)
        asked = self._queries.ask(asking.sql, asking.parameters, lambda table: encode(table, media_type))
        pieces: list[bytes] = await self._answer(request, asked)
        size = sum(map(len, pieces))
        if self._unsent and self._unsent + size > MOST_UNSENT:
            raise UnavailableError("too many answers wait to be read by those who asked", "ask again later")
        self._unsent += size
        return PatientResponse(self._sent(pieces, size), media_type=media_type)

    async def _sent(self, pieces: list[bytes], size: int) -> AsyncIterator[bytes]:
        """The pieces, each of which is kept until it is sent only."""
        try:
            pieces.reverse()
            while pieces:
                piece = pieces.pop()
                yield piece
                self._unsent, size = self._unsent - len(piece), size - len(piece)
        finally:
            self._unsent -= size

    async def _export(self, request: Request) -> Response:
        """All rows of tables, as of one moment: their Arrow streams, one after the other."""
        if self._exporting:
            raise BusyError("an export is being made already", "try again when it has ended")
        tables = request.query_params.getlist("table")
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[bytes] = asyncio.Queue(4)
        sent, waited = 0, 0.0

        def emit(data: bytes) -> None:
            nonlocal sent, waited
            began = time.monotonic()
            asyncio.run_coroutine_threadsafe(pieces.put(data), loop).result(SEND_SECONDS)
            sent, waited = sent + len(data), waited + time.monotonic() - began
            if waited > SEND_SECONDS + sent / LEAST_BYTES_PER_SECOND:
                raise UnavailableError("the export is read too slowly", "export to a faster disk, or fewer tables")

        asked = self._queries.submit(lambda reader: stream_tables(reader, tables, emit), None)
        self._exporting = asked
        asked.result.add_done_callback(lambda _done: setattr(self, "_exporting", None))
        done = unobserved(asyncio.wrap_future(asked.result))

        async def received() -> AsyncGenerator[bytes]:
            try:
                while not (done.done() and pieces.empty()):
                    get = asyncio.ensure_future(pieces.get())
                    await asyncio.wait({get, done}, return_when=asyncio.FIRST_COMPLETED)
                    if get.done():
                        yield get.result()
                    else:
                        get.cancel()
                await done  # raises what it failed with: the answer is cut off, which the client notices
            finally:
                asked.end()
                while not pieces.empty():  # whoever waits to add one hears of its end then
                    pieces.get_nowait()

        rest = received()
        first = await anext(rest, b"")  # an error before the first byte is answered as one

        async def everything() -> AsyncIterator[bytes]:
            try:
                yield first
                async for piece in rest:
                    yield piece
            finally:
                await rest.aclose()

        return PatientResponse(everything(), media_type="application/octet-stream")

    async def _answer(self, request: Request, asked: Asked) -> Any:
        """The answer to a question, which is ended if whoever asked goes away."""
        try:
            return await unless_gone(request, asyncio.wrap_future(asked.result))
        except ClientDisconnect:
            raise CancelledError("whoever asked has gone") from None
        finally:
            asked.end()

    # What changes something

    async def _run(self, request: Request) -> Response:
        name = request.path_params["name"]
        await fields_of(request, set())
        return await self._order(
            request, "run", {"processor": name}, lambda stopped: self._control.run(name, stopped)
        )

    async def _reprocess(self, request: Request) -> Response:
        name = request.path_params["name"]
        given = await fields_of(request, {"user", "session"})
        if len(given) > 1:
            raise RefusedError(422, "a user and a session are given", "give one of them, or none for all")

        def reprocess(_stopped: Stopped) -> Any:
            return _listed(self._control.reprocess(name, given.get("user"), given.get("session")))

        return await self._order(request, "reprocess", {"processor": name, **given}, reprocess)

    async def _requeue(self, request: Request) -> Response:
        given = await fields_of(request, {"processor", "session"})

        def requeue(_stopped: Stopped) -> Any:
            return _listed(self._control.requeue(given.get("processor"), given.get("session")))

        return await self._order(request, "requeue", given, requeue)

    async def _processors_order(self, request: Request) -> Response:
        name, order = request.path_params["name"], request.path_params["order"]
        given = await fields_of(request, None)
        who = request.state.peer.username

        def carry_out(_stopped: Stopped) -> Any:
            return self._control.order(name, order, given, who)

        return await self._order(request, order, {**given, "processor": name}, carry_out)

    async def _scan(self, request: Request) -> Response:
        await fields_of(request, set())
        return await self._order(request, "scan", {}, self._control.scan)

    async def _order(self, request: Request, action: str, parameters: Mapping[str, object], work: Work) -> Response:
        """Carry out an order; what was begun ends by itself if whoever gave it goes away."""
        given = self.orders.give(request.state.peer, action, parameters, work)
        try:
            return JSONResponse(await unless_gone(request, asyncio.wrap_future(given.result)))
        except ClientDisconnect:
            given.gone = True
            raise CancelledError("whoever asked has gone") from None

    async def _on_error(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, SessiondError | ClientDisconnect):
            self._events.request_failed(printable(request.url.path)[:200], describe(error))
        return failure_of(error)


def _asking(body: bytes, kind: str) -> _Asking:
    try:
        if kind == "application/json":
            return msgspec.json.decode(body, type=_Asking)
        return _Asking(body.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(
            400, "the query cannot be read", 'SQL in UTF-8, or JSON as {"sql": "…", "parameters": […]}'
        ) from error


def _listed(done: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {"sessions": [{"processor": name, "session_file": key} for name, key in done]}


def _not_found(routes: Sequence[Route]) -> Callable[..., Any]:
    hint = "there are: " + ", ".join(route.path for route in routes)

    async def not_found(_request: Request, _error: Exception) -> Response:
        return failure(404, "there is no such address", hint)

    return not_found


async def _wrong_method(request: Request, _error: Exception) -> Response:
    return failure(405, f"{request.method} is not what this address takes", "see README")
