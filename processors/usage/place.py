"""Which session a file belongs to: a subagent's file is a part of its parent's."""

import re
from typing import NamedTuple

FOLDER, PREFIX = "subagents", "agent-"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Place(NamedTuple):
    """What a file's name says.

    Attributes:
        session_id: the session that the file's name or the folder of the parent names; None: the lines say it.
        agent_id: the subagent whose file it is; None: the file is a session of its own.

    """

    session_id: str | None
    agent_id: str | None


def place_of(session_key: str) -> Place:
    """What the key of a session file says.

    A session's is ``alice/<session>.jsonl`` where the client named it; the name goes before what the lines say, since
    a resumed session may begin with lines of another. A subagent's is
    ``alice/<session>/subagents/[…/]agent-<id>.jsonl``, or, as older clients have it, ``alice/agent-<id>.jsonl``
    beside the parent's file, whose lines name the parent.
    """
    *folders, name = session_key.split("/")
    stem = name.removesuffix(".jsonl")
    inside = folders[1:]
    if FOLDER in inside:
        parent = inside[: inside.index(FOLDER)]
        return Place(parent[-1] if parent else None, stem.removeprefix(PREFIX))
    if stem.startswith(PREFIX) and stem != PREFIX:
        return Place(None, stem.removeprefix(PREFIX))
    return Place(stem if _UUID.fullmatch(stem) else None, None)
