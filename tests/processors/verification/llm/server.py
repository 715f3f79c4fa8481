"""A server that speaks the wire protocols of both providers, and fails as they do; for tests of all of verification.

It checks what the real ones check (key, version, model, that each object of a schema is closed), and keeps what it
received. With :func:`recorded`, it knows the right answers for the fixtures in ``shared/data/verification``.
"""

import html
import json
import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[4].parent / "shared" / "data" / "verification"
KEY = "sk-test-key-0123456789"
PROBE = "Hello."

_TURN = re.compile(r'<turn role="(person|assistant)">(.*?)</turn>', re.DOTALL)
_PROMPT = re.compile(r"<prompt>(.*?)</prompt>", re.DOTALL)
_NEW = re.compile(r"<new>(.*?)</new>", re.DOTALL)
_KNOWN = re.compile(r'<known id="([^"]*)">(.*?)</known>', re.DOTALL)


@dataclass(frozen=True)
class Received:
    """A request, whichever protocol it came in."""

    provider: str
    headers: dict[str, str]
    body: dict[str, Any]
    instructions: str
    data: str
    schema: dict[str, Any]

    @property
    def context(self) -> list[tuple[str, str]]:
        return [(role, html.unescape(text)) for role, text in _TURN.findall(self.data)]

    @property
    def prompts(self) -> list[str]:
        return [html.unescape(text) for text in _PROMPT.findall(self.data)]

    @property
    def prompt(self) -> str:
        return next(iter(self.prompts), "")

    @property
    def judged(self) -> tuple[str, dict[str, str]]:
        """The new statement, and the known ones by id."""
        new = next(iter(_NEW.findall(self.data)), "")
        return html.unescape(new), {key: html.unescape(text) for key, text in _KNOWN.findall(self.data)}


@dataclass(frozen=True)
class Fault:
    """What happens instead of an answer.

    Attributes:
        status: of HTTP.
        kind: the error's type.
        message: the error's message, in which real servers repeat what was sent.
        headers: more of them.
        how: ``cut``: the connection ends within the body. ``hang``: nothing comes. ``drip``: a byte now and then, for
            ever. ``broken``: a whole response whose JSON is not. ``text``: the answer is this text. ``refusal`` and
            ``length``: the model stops for that.
        text: for ``text``.

    """

    status: int = 200
    kind: str = "api_error"
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    how: str = ""
    text: str = ""


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
        wrong = _wrong(self.headers, body, rig, anthropic=anthropic)
        if wrong is not None:
            self._error(wrong, anthropic=anthropic)
            return
        received = _received({name.lower(): value for name, value in self.headers.items()}, body, anthropic=anthropic)
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
        shape = _message if anthropic else _completion
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


def _wrong(headers: Any, body: dict[str, Any], rig: ModelServer, *, anthropic: bool) -> Fault | None:
    """What a real server would not take."""
    given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
    if rig.key is not None and given != rig.key:
        return Fault(401, "authentication_error", f"invalid key {given}")
    if rig.model is not None and body["model"] != rig.model:
        return Fault(404, "not_found_error", f"model: {body['model']}")
    if anthropic:
        fits = headers.get("anthropic-version") and body["max_tokens"] > 0
        form = body["output_config"]["format"]
        schema = form["schema"]
    else:
        form = body["response_format"]
        schema = form["json_schema"]["schema"]
        fits = form["json_schema"]["strict"] is True and re.fullmatch(r"[\w-]{1,64}", form["json_schema"]["name"])
    if not fits or form["type"] != "json_schema" or not all(map(_closed, _objects(schema))):
        return Fault(400, "invalid_request_error", "the schema is not closed")
    return None


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from _objects(value)


def _closed(schema: dict[str, Any]) -> bool:
    return schema.get("additionalProperties") is False and set(schema["required"]) == set(schema["properties"])


def _received(headers: dict[str, str], body: dict[str, Any], *, anthropic: bool) -> Received:
    if anthropic:
        (message,) = body["messages"]
        form = body["output_config"]["format"]["schema"]
        return Received("anthropic", headers, body, body["system"], message["content"], form)
    system, message = body["messages"]
    assert (system["role"], message["role"]) == ("system", "user")
    form = body["response_format"]["json_schema"]["schema"]
    return Received("openai", headers, body, system["content"], message["content"], form)


def _message(text: str, how: str, usage: tuple[int, int], model: str) -> dict[str, Any]:
    reason = {"refusal": "refusal", "length": "max_tokens"}.get(how, "end_turn")
    return {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}] if reason == "end_turn" else [],
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": usage[0], "output_tokens": usage[1], "cache_read_input_tokens": None},
    }


def _completion(text: str, how: str, usage: tuple[int, int], model: str) -> dict[str, Any]:
    refusal = "I cannot help with that." if how == "refusal" else None
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": None if refusal else text, "refusal": refusal},
                "finish_reason": "length" if how == "length" else "stop",
            }
        ],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    }
