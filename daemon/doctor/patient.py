"""What the checks look at: gathered once, looked at by all of them, changed by none."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from daemon.client import Remote
from daemon.config import Settings, load
from daemon.cursor import Signature
from daemon.doctor.doors import Door, knock, own, places
from daemon.doctor.findings import SkipError, me
from daemon.doctor.reading import Asked, Database, open_to_read
from daemon.errors import SessiondError, describe
from daemon.scan import scan
from processors.registry import ProcessorError, Registered
from processors.registry import load as load_processors

MEMORY = "512MB"
"""For reading the database, if the settings do not say."""


@dataclass(slots=True)
class Walk:
    """What is below a root.

    Attributes:
        root: the folder.
        files: session files, as they look.
        folders: how many, with the root.
        refused: names that look like sessions and are none, and folders that cannot be listed, by reason.

    """

    root: Path
    files: dict[str, Signature] = field(default_factory=dict)
    folders: int = 0
    bytes: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Patient:
    """A host with sessiond on it, or without.

    Attributes:
        settings: None, if they are wrong; ``wrong`` says how.
        sources: where each setting is from.
        root, db: those of the settings, or where these do not say, of the daemon that answers; None: nobody knows.
        doors: where a daemon may be asked.
        door: the one at which the daemon of these settings answers.
        tell: told what is being done.

    """

    settings: Settings | None
    sources: Mapping[str, str]
    wrong: SessiondError | None
    root: Path | None
    db: Path | None
    doors: tuple[Door, ...]
    door: Door | None
    tell: Callable[[str], None]

    @property
    def status(self) -> Mapping[str, Any] | None:
        """What the daemon says of itself; None if it does not answer."""
        return None if self.door is None else self.door.status

    @cached_property
    def processors(self) -> tuple[list[Registered], list[ProcessorError]]:
        """Those that are wanted, and what is wrong with those that cannot be used."""
        settings = self.settings
        if settings is None:
            return load_processors()
        return load_processors(settings.processors, settings.options, settings.isolation)

    @cached_property
    def walk(self) -> Walk:
        """What is below the root, as of one walk.

        Raises:
            SkipError: it is not known, not there, or cannot be listed.

        """
        if self.root is None:
            raise SkipError("it is not known which folder is the root")
        if not os.path.isdir(self.root):  # noqa: PTH112  # which would raise where one may not look
            raise SkipError("the root is not there")
        walk = Walk(self.root)

        def found(batch: Any) -> None:
            walk.files.update(batch)
            self.tell(f"the root: {len(walk.files):,} files")

        totals = scan(
            str(self.root),
            lambda _key, _hash: True,
            found,
            lambda name, reason: walk.refused.setdefault(reason, []).append(name),
        )
        walk.folders, walk.bytes = totals.folders, totals.bytes
        if not walk.folders:
            raise SkipError(f"the root cannot be listed by {me()}")
        return walk

    @cached_property
    def opened(self) -> Database | SessiondError | None:
        """The database, asked of the daemon or opened; why it cannot be; None: there is none yet."""
        if self.door is not None:
            return Asked(Remote(self.door.path))
        if self.db is None:
            return SkipError("it is not known which file is the database")
        self.tell("opening the database")
        try:
            found = open_to_read(self.db, self.settings.memory_limit if self.settings else MEMORY)
        except SessiondError as error:
            return error
        if found is None and any(door.state == "barred" for door in self.doors):
            return SkipError(f"{me()} may not ask the daemon, see socket")
        return found

    @property
    def database(self) -> Database:
        """The database.

        Raises:
            SkipError: there is none, or it cannot be used.

        """
        if self.opened is None:
            raise SkipError("there is no database yet")
        if isinstance(self.opened, SkipError):
            raise self.opened
        if isinstance(self.opened, SessiondError):
            raise SkipError("the database cannot be used, see database")
        return self.opened

    def close(self) -> None:
        """Give up the database, if it was opened."""
        opened = self.__dict__.get("opened")
        if opened is not None and not isinstance(opened, SessiondError):
            opened.close()


def gather(flags: Mapping[str, Any], config: Path | None, tell: Callable[[str], None]) -> Patient:
    """What there is to look at. Wrong settings are a part of it; where they are, only the flags count.

    Args:
        flags: ``root``, ``db`` and ``socket`` from the command line; None stands for "not given".
        config: the configuration file; None: the default one, if there is one.
        tell: told what is being done.

    """
    settings, sources, wrong = None, dict[str, str](), None
    try:
        settings, sources = load(flags, config)
    except SessiondError as error:
        wrong = error
    except OSError as error:  # a folder that may not be entered
        wrong = SessiondError(
            f"the settings cannot be read: {describe(error)}", "check --config, and the paths in it"
        )
    tell("asking the daemon")
    doors = tuple(knock(place) for place in places(settings, _absolute(flags.get("socket"))))
    door = own(doors, settings, sources)
    status = door.status if door else {}

    def place(name: str) -> Path | None:
        told = str(status.get(name, ""))
        # The daemon tells names of files as they are safe to show: one with an escape is another one.
        theirs = Path(told) if told and "\\" not in told else None
        if settings is None:
            return _absolute(flags.get(name)) or theirs
        given: Path = getattr(settings, name)
        return theirs or given if sources[name] == "default" else given

    return Patient(settings, sources, wrong, place("root"), place("db"), doors, door, tell)


def _absolute(path: Path | None) -> Path | None:
    # As for a setting, see daemon.config.
    return None if path is None else Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111
