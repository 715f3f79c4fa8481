"""What both providers' clients have in common: how they are connected, and how their errors are understood.

Their own retries are off. They wait as long as a server asks, be it hours, and a run that takes too long counts as
failed; and each request has to be within the limits.
"""

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any, TypeVar

import httpx2
import msgspec

from processors.verification.llm.model import FailureError, Kind

T = TypeVar("T")

NO_RESPONSE = "what came is no response of this protocol"

MOST_BYTES = 16 << 20
"""Of a response."""

LONGEST_WAIT = 3600.0
"""Seconds; what a server asks beyond is not believed."""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_BUSY = {429, 503, 529}
_BROKEN = {408, 409, 425}
_REJECTED = {400, 413, 414, 422, 431}
_UNCONNECTED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


def connection(timeout: float, connections: int) -> httpx2.Client:
    """What requests go through.

    The time limit is for the whole response, which the library's own is not: that one begins anew with each byte. A
    redirect is not followed: it would take the key and the transcript along.
    """
    return httpx2.Client(
        timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,
        event_hooks={
            "request": [lambda request: request.extensions.update(ends=time.monotonic() + timeout)],
            "response": [_bounded],
        },
    )


def quiet(*loggers: str) -> None:
    """Keep the clients' own log lines from the log: on the level of debugging they hold what is sent."""
    for name in (*loggers, "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def received(sdk: ModuleType, request: Callable[[], Any], decode: Callable[[bytes], T]) -> T:
    """The response to a request, as a type.

    Args:
        sdk: the provider's client; both have the same classes of errors.
        request: makes the request and gives the raw response.
        decode: makes of the response's body what is wanted.

    Raises:
        FailureError: there is none. No other error is its cause or context: theirs may hold what was sent.

    """
    try:
        return decode(request().http_response.content)
    except sdk.APIStatusError as error:
        failure = _status(error.response)
    except sdk.APIConnectionError as error:
        failure = _connection(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        failure = FailureError("broken", NO_RESPONSE)
    except Exception as error:  # noqa: BLE001  # whatever it is, it may hold what was sent
        failure = FailureError("broken", f"{type(error).__name__} in the provider's client")
    raise failure


def _status(response: httpx2.Response) -> FailureError:
    status = response.status_code
    kind: Kind = "denied"
    if status in _BUSY:
        kind = "busy"
    elif status in _BROKEN or status >= 500:  # noqa: PLR2004
        kind = "broken"
    elif status in _REJECTED:
        kind = "rejected"
    code = _code(response)
    return FailureError(kind, f"HTTP {status}{f' {code}' if code else ''}", _after(response.headers))


def _code(response: httpx2.Response) -> str:
    """The error's name, if it looks like one; its message may repeat what was sent."""
    try:
        error = json.loads(response.content)["error"]
        found = error.get("code") or error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return found if isinstance(found, str) and _CODE.fullmatch(found) else ""


def _after(headers: Mapping[str, str]) -> float:
    said = headers.get("retry-after", "").strip()
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else 0.0


def _connection(error: BaseException) -> FailureError:
    cause = error.__cause__
    if isinstance(cause, _UNCONNECTED):
        return FailureError("unreachable", f"no connection ({type(cause).__name__})")
    if isinstance(cause, httpx2.UnsupportedProtocol | httpx2.InvalidURL | httpx2.LocalProtocolError):
        return FailureError("denied", f"no request could be made ({type(cause).__name__})")
    return FailureError("broken", f"no whole response came ({type(cause or error).__name__})")


def _bounded(response: httpx2.Response) -> None:
    response.stream = _Bounded(response.stream, response.request)


class _Bounded(httpx2.SyncByteStream):
    """A body that ends in time, and is not too long."""

    def __init__(self, stream: Any, request: httpx2.Request) -> None:
        self._stream = stream
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        length = 0
        for chunk in self._stream:
            length += len(chunk)
            if length > MOST_BYTES:
                raise httpx2.ReadError("the response is too long", request=self._request)
            if time.monotonic() > self._request.extensions["ends"]:
                raise httpx2.ReadTimeout("the response takes too long", request=self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()
