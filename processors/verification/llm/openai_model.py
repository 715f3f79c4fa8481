"""The protocol of OpenAI's chat completions, which many other servers speak as well."""

from collections.abc import Mapping
from typing import Any

import msgspec
import openai

from processors.verification.llm.http import NO_RESPONSE, connection, quiet, received
from processors.verification.llm.model import Answer, FailureError
from processors.verification.llm.options import LlmOptions

quiet("openai")

_FAULTS = {
    "length": "its answer was cut: max_output_tokens is too small, or the request too long for the model",
    "content_filter": "its provider refused to answer",
}


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_DECODE = msgspec.json.Decoder(_Completion).decode


class OpenaiModel:
    """A model that is asked in OpenAI's protocol.

    Args:
        options: where and how.
        key: the provider's.

    """

    def __init__(self, options: LlmOptions, key: str) -> None:
        self._options = options
        # OpenAI's newer models take the one name only, and a number of other servers the other only.
        self._limit = "max_tokens" if options.base_url else "max_completion_tokens"
        self._client = openai.OpenAI(
            api_key=key or "none",  # the client wants one; a server that has no keys does not look at it
            base_url=options.base_url or "https://api.openai.com/v1",
            timeout=options.timeout,
            max_retries=0,
            http_client=connection(options.timeout, options.concurrency),
        )

    def ask(self, instructions: str, data: str, schema: Mapping[str, Any]) -> Answer:
        """See :class:`processors.verification.llm.model.Model`."""
        limit: dict[str, Any] = {self._limit: self._options.max_output_tokens}
        completion = received(
            openai,
            lambda: self._client.chat.completions.with_raw_response.create(
                model=self._options.model_name,
                messages=[{"role": "system", "content": instructions}, {"role": "user", "content": data}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)},
                },
                **limit,
            ),
            _DECODE,
        )
        if not completion.choices:
            raise FailureError("broken", NO_RESPONSE)
        choice = completion.choices[0]
        fault = _FAULTS.get(choice.finish_reason or "", "")
        if choice.message.refusal:
            fault = "it refused to answer"
        # A server that does not say what was used has no price by the token: what was asked and answered counts by
        # its length, a token being about four characters.
        usage = completion.usage or _Usage(len(instructions + data) // 4, len(choice.message.content or "") // 4)
        return Answer(choice.message.content or "", usage.prompt_tokens, usage.completion_tokens, fault)

    def close(self) -> None:
        """See :class:`processors.verification.llm.model.Model`."""
        self._client.close()
