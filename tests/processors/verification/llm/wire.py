"""The wire protocols of both providers, as a server sees them: what comes, what is refused, and what goes out."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

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


def refused(
    headers: Any, body: dict[str, Any], key: str | None, model: str | None, *, anthropic: bool
) -> Fault | None:
    """What a real server would not take."""
    given = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
    if key is not None and given != key:
        return Fault(401, "authentication_error", f"invalid key {given}")
    if model is not None and body["model"] != model:
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


def received(headers: dict[str, str], body: dict[str, Any], *, anthropic: bool) -> Received:
    if anthropic:
        (message,) = body["messages"]
        form = body["output_config"]["format"]["schema"]
        return Received("anthropic", headers, body, body["system"], message["content"], form)
    system, message = body["messages"]
    assert (system["role"], message["role"]) == ("system", "user")
    form = body["response_format"]["json_schema"]["schema"]
    return Received("openai", headers, body, system["content"], message["content"], form)


def message(text: str, how: str, usage: tuple[int, int], model: str) -> dict[str, Any]:
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


def completion(text: str, how: str, usage: tuple[int, int], model: str) -> dict[str, Any]:
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
