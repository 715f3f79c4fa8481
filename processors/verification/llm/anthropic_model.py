"""Anthropic's protocol: messages, with the answer bound to a schema."""

from collections.abc import Mapping
from typing import Any

import anthropic
import msgspec

from processors.verification.llm.http import connection, quiet, received
from processors.verification.llm.model import Answer
from processors.verification.llm.options import LlmOptions

quiet("anthropic")

_WHOLE = {"end_turn", "stop_sequence"}
_FAULTS = {
    "max_tokens": "its answer was cut: max_output_tokens is too small",
    "model_context_window_exceeded": "its answer was cut: the request is too long for the model",
    "refusal": "it refused to answer",
}


class _Block(msgspec.Struct):
    type: str
    text: str = ""


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Message(msgspec.Struct):
    content: list[_Block]
    stop_reason: str
    usage: _Usage


_DECODE = msgspec.json.Decoder(_Message).decode


class AnthropicModel:
    """A model that is asked in Anthropic's protocol.

    Args:
        options: where and how.
        key: the provider's.

    """

    def __init__(self, options: LlmOptions, key: str) -> None:
        self._options = options
        self._client = anthropic.Anthropic(
            api_key=key,
            base_url=options.base_url or "https://api.anthropic.com",
            timeout=options.timeout,
            max_retries=0,
            open_telemetry=False,
            http_client=connection(options.timeout, options.concurrency),
        )

    def ask(self, instructions: str, data: str, schema: Mapping[str, Any]) -> Answer:
        """See :class:`processors.verification.llm.model.Model`."""
        message = received(
            anthropic,
            lambda: self._client.messages.with_raw_response.create(
                model=self._options.model_name,
                max_tokens=self._options.max_output_tokens,
                system=instructions,
                messages=[{"role": "user", "content": data}],
                output_config={"format": {"type": "json_schema", "schema": dict(schema)}},
                timeout=self._options.timeout,
            ),
            _DECODE,
        )
        usage = message.usage
        cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
        fault = (
            ""
            if message.stop_reason in _WHOLE
            else _FAULTS.get(message.stop_reason, "it stopped for no known reason")
        )
        text = "".join(block.text for block in message.content if block.type == "text")
        return Answer(text, usage.input_tokens + cached, usage.output_tokens, fault)

    def close(self) -> None:
        """See :class:`processors.verification.llm.model.Model`."""
        self._client.close()
