"""Which session a file belongs to: a subagent's file is a part of its parent's."""

from typing import NamedTuple

FOLDER, PREFIX = "subagents", "agent-"


class Place(NamedTuple):
    """What a file's name says.

    Attributes:
        session_id: the parent session, where the folder names it; for other files their lines say it.
        agent_id: the subagent whose file it is; None: the file is a session of its own.

    """

    session_id: str | None
    agent_id: str | None


def place_of(session_key: str) -> Place:
    """What the key of a session file says.

    A subagent's is ``alice/<session>/subagents/[…/]agent-<id>.jsonl``, or, as older clients have it,
    ``alice/agent-<id>.jsonl`` beside the parent's file, whose lines name the parent.
    """
    *folders, name = session_key.split("/")
    stem = name.removesuffix(".jsonl")
    inside = folders[1:]
    if FOLDER in inside:
        parent = inside[: inside.index(FOLDER)]
        return Place(parent[-1] if parent else None, stem.removeprefix(PREFIX))
    if stem.startswith(PREFIX) and stem != PREFIX:
        return Place(None, stem.removeprefix(PREFIX))
    return Place(None, None)
