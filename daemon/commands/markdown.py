"""Items of knowledge as a Markdown document."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.errors import printable

_SPECIAL = re.compile(r"[\\`*_{}\[\]()#+!|~^$<>&@]")
_LINKS = re.compile(r":(?=//)|(?<=www)\.", re.IGNORECASE)
"""What some make a link of, though nothing marks it as one."""

_BEGINS = re.compile(r"^(\d*)(?=[-=.])")
"""Of a list, a rule or a heading."""


def as_markdown(items: Sequence[Mapping[str, Any]]) -> str:
    """A document with a chapter per domain.

    Args:
        items: rows of ``knowledge_items``, each with its ``evidence``: rows of ``verification_evidence``.

    """
    return "\n".join(_lines(items))


def _lines(items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "# Knowledge"
    for domain in sorted({item["domain"] for item in items}):
        yield f"\n## {escaped(domain.capitalize())}"
        for item in items:
            if item["domain"] == domain:
                yield f"\n### {escaped(item['title'])}\n"
                yield f"{escaped(item['content'])}\n"
                yield f"- id: `{item['id']}`, {item['status']}, confidence {item['confidence']:.2f}"
                if item["entities"]:
                    yield f"- about: {escaped(', '.join(item['entities']))}"
                for each in item["evidence"]:
                    when = f"{each['created_at']:%Y-%m-%d}" if each["created_at"] else ""
                    kind = each["detection_type"].replace("_", " ")
                    yield f"- {kind} by {escaped(each['source_user'])}, {when}: “{escaped(each['user_quote'])}”"


def escaped(text: str) -> str:
    """Text that means itself: no markup, no link, no HTML, one line, and nothing that acts on a terminal."""
    text = _SPECIAL.sub(r"\\\g<0>", printable(" ".join(text.split())))
    return _BEGINS.sub(r"\1\\", _LINKS.sub(r"\\\g<0>", text), count=1)
