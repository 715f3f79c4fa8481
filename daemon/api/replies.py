"""How requests are read and answered, whatever they ask: bounded bodies, errors in one form, patience that ends."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import duckdb
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Send

from daemon.errors import (
    BusyError,
    CancelledError,
    ConfigError,
    LimitError,
    QueryError,
    SessiondError,
    UnavailableError,
    UnknownNameError,
    describe,
)

T = TypeVar("T")

BODY_BYTES = 1 << 20
BODY_SECONDS = 30.0
SEND_SECONDS = 60.0
"""How long a client may take to read on; then it is dropped, with what was kept for it."""

_STATUS: dict[type[Exception], int] = {
    LimitError: 422,
    CancelledError: 503,
    ConfigError: 422,
    QueryError: 400,
    UnknownNameError: 404,
    BusyError: 409,
    UnavailableError: 503,
}


class RefusedError(SessiondError):
    """A request is answered with this status of HTTP, and why."""

    def __init__(self, status: int, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.status = status


def failure(status: int, what: str, hint: str = "", **more: object) -> Response:
    """An error as all are answered: ``error``, ``hint``, and what the kind of error has besides."""
    return JSONResponse({"error": what, "hint": hint, **more}, status)


def failure_of(error: Exception) -> Response:
    """What an exception is answered."""
    if isinstance(error, RefusedError):
        response = failure(error.status, error.args[0], error.hint)
        if error.status in {408, 413}:  # whatever else is on its way is not read
            response.headers["connection"] = "close"
        return response
    for kind, status in _STATUS.items():
        if isinstance(error, kind):
            more = {"limit": error.limit} if isinstance(error, LimitError) else {}
            return failure(status, error.args[0], getattr(error, "hint", ""), **more)
    if isinstance(error, SessiondError):
        return failure(500, error.args[0], error.hint)
    hint = "see the log of the daemon" if not isinstance(error, duckdb.Error) else "the database cannot do it now"
    return failure(500, describe(error), hint)


async def body_of(request: Request) -> bytes:
    """The body of a request.

    Raises:
        RefusedError: it is too long, or takes too long.
        ClientDisconnect: the client has gone.

    """
    length = request.headers.get("content-length", "0")
    too_long = RefusedError(413, f"the body is longer than {BODY_BYTES:,} bytes", "shorten it")
    if not length.isdecimal() or len(length) > len(str(BODY_BYTES)) or int(length) > BODY_BYTES:
        raise too_long
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                data += piece
                if len(data) > BODY_BYTES:
                    raise too_long
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {BODY_SECONDS:.0f} s") from None
    return bytes(data)


async def fields_of(request: Request, known: set[str] | None) -> dict[str, str]:
    """A body that is an object of texts, or empty.

    Raises:
        RefusedError: it is something else, or names what is not ``known``; None: anything is.

    """
    data = await body_of(request)
    try:
        fields = msgspec.json.decode(data, type=dict[str, str | None]) if data.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        hint = f"it may have: {_names(known)}" if known is not None else ""
        raise RefusedError(422, "the body is no JSON object of texts", hint) from None
    return _checked(fields.items(), fields.keys() if known is None else known)


def parameters_of(request: Request, known: set[str]) -> dict[str, str]:
    """The parameters in the request's address.

    Raises:
        RefusedError: one is not ``known``, or there twice.

    """
    return _checked(request.query_params.multi_items(), known)


def _checked(fields: Iterable[tuple[str, str | None]], known: Collection[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in fields:
        if name not in known or name in given:
            raise RefusedError(
                422, f"there is no parameter {name!r}, or it is given twice", f"known: {_names(known)}"
            )
        if value is not None:
            given[name] = value
    return given


def _names(known: Collection[str]) -> str:
    return ", ".join(sorted(known))


async def unless_gone(request: Request, result: "asyncio.Future[T]") -> T:
    """A result that takes its time.

    Raises:
        ClientDisconnect: the client has gone before it was there.

    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    watcher = asyncio.ensure_future(gone())
    waiting: set[asyncio.Future[Any]] = {result, watcher}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            unobserved(result)
            raise ClientDisconnect
        return result.result()
    finally:
        watcher.cancel()


def unobserved(result: "asyncio.Future[T]") -> "asyncio.Future[T]":
    """The same; nobody has to look at what it may fail with."""
    result.add_done_callback(lambda done: done.cancelled() or done.exception())
    return result


class PatientResponse(StreamingResponse):
    """Drops a client that does not read on."""

    async def stream_response(self, send: Send) -> None:
        """As its base."""

        async def patient(message: Message) -> Any:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        await super().stream_response(patient)
