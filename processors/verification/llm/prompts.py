"""What a model is told, and how what others wrote is handed to it: as data that cannot look like anything else.

Each turn stands in an element of its own. In what is written in it, ``&``, ``<`` and ``>`` are escaped, so that no
text can close its element or open another, whatever it says.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Prompt:
    """A task for a model.

    Attributes:
        instructions: from us.
        version: a hash of the instructions and the schema: with another one, everything is asked anew.
        schema: of the answer, as JSON Schema.
        probe: data that any model can say something about, to see whether it answers at all.

    """

    instructions: str
    version: str
    schema: Mapping[str, Any]
    probe: str


def prompt(name: str, schema: Mapping[str, Any], probe: str) -> Prompt:
    """The task whose instructions are in the file ``<name>.md`` beside this one."""
    instructions = files(__package__).joinpath(f"{name}.md").read_text("utf-8")
    version = hashlib.sha256(f"{instructions}\0{json.dumps(schema, sort_keys=True)}".encode()).hexdigest()
    return Prompt(instructions, version, schema, probe)


def element(name: str, text: str, **attributes: str) -> str:
    """A text in an element. Lone surrogates, which cannot be sent, become U+FFFD."""
    given = "".join(f' {key}="{escaped(value).replace(chr(34), "&quot;")}"' for key, value in attributes.items())
    return f"<{name}{given}>{escaped(text)}</{name}>"


def escaped(text: str) -> str:
    """A text in which nothing can be taken for an element."""
    return _SURROGATE.sub("\ufffd", text).translate(_ESCAPES)


def unescaped(text: str) -> str:
    """The text that was escaped."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object that has all of these properties and no other, as both providers want it."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
