"""A server that speaks the wire protocols of both providers, and fails as they do; for tests of all of verification.

It checks what the real ones check (key, version, model, that each object of a schema is closed), and keeps what it
received. With :func:`recorded`, it knows the right answers for the fixtures in ``shared/data/verification``.
"""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.processors.verification.llm import wire
from tests.processors.verification.llm.wire import Fault, Received

DATA = Path(__file__).parents[4].parent / "shared" / "data" / "verification"
KEY = "sk-test-key-0123456789"
PROBE = "Hello."

Answers = Callable[[Received], dict[str, Any]]


class ModelServer:
    """The server, on a port of its own.

    Attributes:
        url: for Anthropic's client; that of OpenAI's is ``url + "/v1"``, see :meth:`base_url`.
        answers: the answer to a request, as the object that becomes JSON.
        faults: what happens to the next requests, one each; None: nothing.
        fault: what happens to a request, whenever it comes; looked at when there is none of the above.
        received: what came, in order; without what a fault made of it.
        key: that is taken; None: none is looked for.
        model: the only one there is; None: any is.
        usage: input and output tokens of each answer.
        gate: closed, it holds every answer back until it is opened.
        waiting: set when a request has come.

    """

    def __init__(self, answers: Answers | None = None) -> None:
        self.answers = answers or nothing
        self.faults: deque[Fault | None] = deque()
        self.fault: Callable[[Received], Fault | None] = lambda _: None
        self.received: list[Received] = []
        self.key: str | None = KEY
        self.model: str | None = None
        self.usage = (100, 20)
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = threading.Event()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.rig = self
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def base_url(self, provider: str) -> str:
        return self.url if provider == "anthropic" else f"{self.url}/v1"

    def options(self, provider: str = "anthropic", **more: Any) -> dict[str, Any]:
        """Settings of a client of this server: for LlmOptions, or a configuration file. The key goes another way."""
        return {"provider": provider, "model": "test-model", "base_url": self.base_url(provider), **more}

    def take(self, received: Received) -> Fault | None:
        with self._lock:
            self.received.append(received)
            fault = self.faults.popleft() if self.faults else self.fault(received)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.waiting.set()
        self.gate.wait(30)
        return fault

    def gone(self) -> None:
        with self._lock:
            self._at_once -= 1

    def stop(self) -> None:
        self.closing.set()
        self.gate.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def nothing(received: Received) -> dict[str, Any]:
    """The answer of a model that finds nothing."""
    return {next(iter(received.schema["properties"])): []}


def recorded() -> Answers:
    """The answers to the fixtures: what is expected of a prompt's session, if the prompt holds its quote."""
    expected = []
    for file in sorted((DATA / "expected").glob("*.json")):
        for item in json.loads(file.read_text())["verifications"]:
            del item["base_confidence"]  # which is computed, not asked for
            expected.append(item)

    def answers(received: Received) -> dict[str, Any]:
        words = " ".join(received.prompt.split())
        found = [item for item in expected if " ".join(item["user_quote"].split()) in words]
        return {"items": found}

    return answers


@pytest.fixture
def model_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    """A server, with its key in the environment."""
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    server = ModelServer()
    yield server
    from processors.verification.llm.asking import close  # noqa: PLC0415

    close()
    server.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is written to the terminal."""

    def do_POST(self) -> None:
        rig: ModelServer = self.server.rig
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        anthropic = self.path == "/v1/messages"
        if not anthropic and self.path != "/v1/chat/completions":
            self._error(Fault(404, "not_found_error"), anthropic=anthropic)
            return
        refused = wire.refused(self.headers, body, rig.key, rig.model, anthropic=anthropic)
        if refused is not None:
            self._error(refused, anthropic=anthropic)
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = wire.received(headers, body, anthropic=anthropic)
        fault = rig.take(received)
        try:
            self._answer(rig, received, fault or Fault(), anthropic=anthropic)
        except OSError:
            self.close_connection = True
        finally:
            rig.gone()

    def _answer(self, rig: ModelServer, received: Received, fault: Fault, *, anthropic: bool) -> None:
        if fault.status != 200:
            self._error(fault, anthropic=anthropic)
            return
        text = fault.text if fault.how == "text" else json.dumps(rig.answers(received))
        shape = wire.message if anthropic else wire.completion
        raw = json.dumps(shape(text, fault.how, rig.usage, received.body["model"])).encode()
        if fault.how == "hang":
            rig.closing.wait(30)
            self.close_connection = True
        elif fault.how == "drip":
            self._drip(rig)
        elif fault.how == "cut":
            self._send(200, raw, {}, length=len(raw) + 100)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._send(200, raw[: len(raw) // 2] if fault.how == "broken" else raw, fault.headers)

    def _drip(self, rig: ModelServer) -> None:
        self._send(200, b"", {}, length=1_000_000)
        while not rig.closing.wait(0.02):
            self.wfile.write(b" ")

    def _error(self, fault: Fault, *, anthropic: bool) -> None:
        error = {"type": fault.kind, "message": fault.message}
        body = {"type": "error", "error": error} if anthropic else {"error": {**error, "code": None, "param": None}}
        self._send(fault.status, json.dumps(body).encode(), fault.headers)

    def _send(self, status: int, raw: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
