"""What is asked of a language model, and how it may fail: one small protocol for all providers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Kind = Literal["busy", "unreachable", "broken", "denied", "rejected"]


class ExtractionError(Exception):
    """The model's answer is no answer, or its provider refuses this content: only this session is to blame.

    Its message never holds anything of a transcript, an answer or a provider's own words.
    """


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model has answered.

    Attributes:
        text: what it wrote.
        input_tokens, output_tokens: what is billed.
        fault: why this is no answer, if it is none: it was refused, or cut.

    """

    text: str
    input_tokens: int
    output_tokens: int
    fault: str = ""


class FailureError(Exception):
    """No answer has come.

    Attributes:
        kind: ``busy``: too many requests, or overloaded. ``unreachable``: there was no connection. ``broken``: the
            provider failed, or what came is no response. ``denied``: key, permission, model or address are wrong.
            ``rejected``: the request itself is refused.
        what: for people, without anything that was sent or received but a status and a code.
        after: seconds that the provider asks to wait.

    """

    def __init__(self, kind: Kind, what: str, after: float = 0.0) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.after = after

    @property
    def unpaid(self) -> bool:
        """Whether it is certain that nothing is billed: there was a status of failure, or no connection at all."""
        return self.kind != "broken" or self.what.startswith("HTTP ")


class Model(Protocol):
    """A language model, at a provider."""

    def ask(self, instructions: str, data: str, schema: Mapping[str, Any]) -> Answer:
        """One request, without any retries.

        Args:
            instructions: what is to be done; from us.
            data: what it is to be done with; from anybody.
            schema: of the answer, as JSON Schema; each object in it is closed.

        Raises:
            FailureError: no answer has come.

        """
        ...

    def close(self) -> None:
        """Close its connections."""
        ...
