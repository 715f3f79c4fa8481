"""What the settings may say to this processor: ``[options.verification]`` of the configuration file."""

from typing import Literal

import msgspec

from processors.contract import LONGEST
from processors.verification.llm.options import LlmOptions, check_installed

MARKER = "sessiond: leave this session out"


class LeaveOut(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is not read for knowledge, and of which nothing is kept that was found before.

    Attributes:
        users: names of users.
        projects: folders, with all below them.
        sessions: keys of sessions, such as ``alice/x.jsonl``, or folders of them, such as ``alice/private``.

    """

    users: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(name.rstrip("/") for names in (self.users, self.projects, self.sessions) for name in names):
            raise ValueError("an empty name would leave everything out")
        # What can name nothing would leave nothing out, and nobody would notice.
        if any("/" in name for name in self.users):
            raise ValueError("a user is the name of a folder in the root, such as alice")
        if any(name.startswith(("/", "./", "../", "~")) for name in self.sessions):
            raise ValueError("a session is named by its path below the root, such as alice/x.jsonl")
        if any(name.startswith(("./", "../", "~")) for name in self.projects):
            raise ValueError("a project is the whole path of a folder, such as /home/alice/work")

    def session(self, key: str) -> bool:
        """Whether a whole session is left out."""
        return key.partition("/")[0] in self.users or _is_below(key, self.sessions)

    def project(self, folder: str | None) -> bool:
        """Whether what is said in a folder is left out."""
        return folder is not None and _is_below(folder, self.projects)


class VerificationOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The settings.

    Attributes:
        extractor: ``rules``, which need nothing, or ``llm``.
        cadence_minutes: least time between two runs on one session.
        idle_minutes: a session that has not changed for so long is run at once.
        marker: a line of a prompt that has the whole session left out, what was said before it included.
        leave_out: users, projects and sessions.
        llm: for the extractor of that name, and for the search for contradictions.

    """

    extractor: Literal["rules", "llm"] = "rules"
    cadence_minutes: float = 15.0
    idle_minutes: float = 5.0
    marker: str = MARKER
    leave_out: LeaveOut = LeaveOut()
    llm: LlmOptions = LlmOptions()

    def __post_init__(self) -> None:
        if not all(0 <= minutes <= LONGEST for minutes in (self.cadence_minutes, self.idle_minutes)):
            raise ValueError(f"minutes are from 0 to {LONGEST:,}")
        if self.extractor == "llm":
            check_installed(self.llm)
        if not self.marker.strip() or "\n" in self.marker:
            raise ValueError("the marker is one line of text")


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder.rstrip("/") or path.startswith(folder.rstrip("/") + "/") for folder in folders)
