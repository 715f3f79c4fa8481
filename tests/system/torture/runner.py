"""Runs scripts: what happens to files and to the daemon, in turn, and compares rows and files at each ``sync``."""

import shutil
import signal
import threading
import time
from collections import Counter

from tests.system.torture import places
from tests.system.torture.actions import ACTIONS
from tests.system.torture.lines import content
from tests.system.torture.model import Model
from tests.system.torture.reference import UsageReference
from tests.system.torture.rig import MOST_MEMORY, Rig
from tests.system.torture.tree import Tree, allow

assert places  # which adds its actions

POLL_SECONDS = 0.03
QUIET_SECONDS = 10.0
"""A daemon that has nothing to do for so long, and has other rows than it should, will not get them any more."""

LONGEST_SECONDS = 60.0
"""The same for one that says it has something to do."""

BARRIER = 9_000
"""Seeds of what is written to know that all before it was noticed."""

DEADLY = {"exit", "segfault", "memory"}


class WrongRowsError(AssertionError):
    """The rows are not those of the files."""


class Runner:
    """Runs one script after the other on one root and one database."""

    def __init__(self, folder, *, isolated=False):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.rig = Rig(folder / "box", isolated=isolated)
        self.usage = UsageReference()
        self.actions = Counter()
        self.scripts = 0
        self._tree = self._model = None
        self._left = {}
        self._frozen = False
        self._syncs = 0
        self.rig.start()

    def close(self):
        self.rig.close()
        self.usage.close()
        shutil.rmtree(self.folder / "box", ignore_errors=True)

    def run(self, script):
        """Raises an AssertionError if something is not as it has to be."""
        self.scripts += 1
        box = self.rig.box
        self._tree = Tree(box.root, box.folder / "outside", self.scripts, obeys_modes=self.rig.obeys_modes)
        self._model = Model(self._tree, self.usage)
        self._model.version = self.rig.version
        self._syncs = 0
        self._frozen = False
        self.rig.dies = any(step[0] == "poison" and step[3] in DEADLY for step in script)
        try:
            for name, *values in script:
                self.actions[name] += 1
                if name in ACTIONS:
                    ACTIONS[name](self._tree, *values)
                    self._tree.observe()
                else:
                    getattr(self, f"_do_{name}")(*values)
            self._finish()
        finally:
            self._leave()

    def _finish(self):
        self._do_make_readable()
        self.rig.few_watches, was_few = False, self.rig.few_watches
        if was_few:
            self._do_stop()
        self._do_sync()
        self._left |= self._model.rows()
        self.rig.clock(0)
        assert self.rig.memory() < MOST_MEMORY, f"{self.rig.memory() >> 20} MB of memory"

    def finish(self):
        """All scripts are over: what they have left is as it was, and what is kept shows what it should."""
        self._do_up()
        self.rig.ready()
        found = self.rig.found("s")
        for key in sorted(found.keys() | self._left.keys()):
            wanted, there = self._left.get(key), found.get(key)
            assert there == wanted, f"{key}: {wanted} were left, {there} are there at the end\n{self.rig.log()}"
        self.rig.end(signal.SIGTERM)
        try:
            self.rig.box.rows()
        except AssertionError as error:
            raise AssertionError(f"a kept view shows something else than it should: {error!r:.2000}") from error

    def _leave(self):
        if self._frozen:
            self._do_thaw()
        allow(self.rig.box.root)
        self._tree.clear()

    def _do_make_readable(self):
        allow(self.rig.box.root)
        self._tree.observe()

    def _do_pause(self, milliseconds):
        threading.Event().wait(milliseconds / 1000)  # what follows is meant to come at any moment

    def _do_sync(self):
        """Compare, once all that happened before is behind the daemon."""
        self._do_up()
        self._syncs += 1
        with self._tree.path("z/barrier").open("ab") as file:
            file.write(content(self._tree, BARRIER + self._syncs, 1))
        self._tree.observe()
        changed, idle_since, before, differences = time.monotonic(), None, None, ["nothing there yet"]
        while time.monotonic() - changed < LONGEST_SECONDS:
            self.rig.supervise()
            idle = self.rig.idle()
            found = self.rig.found(self._tree.tag)
            if found is None:
                threading.Event().wait(POLL_SECONDS)
                continue
            differences = self._model.differences(found)
            if idle and not differences:
                self._model.compared(found)
                return
            if found != before:
                changed, before = time.monotonic(), found
            idle_since = (idle_since or time.monotonic()) if idle else None
            if idle and time.monotonic() - max(idle_since, changed) > QUIET_SECONDS:
                break
            threading.Event().wait(POLL_SECONDS)
        differences = differences or [f"the rows are right, but it is not idle: {self.rig.lanes()}"]
        raise WrongRowsError("\n".join([*differences[:20], self.rig.log()]))

    def _do_up(self):
        if self._frozen:
            self._do_thaw()
        if self.rig.daemon is None or self.rig.daemon.process.poll() is not None:
            if self.rig.daemon is not None and self.rig.daemon.close in self.rig.box._open:
                self.rig.supervise()
            else:
                self.rig.start()

    def _do_down(self, how):
        """SIGTERM or SIGKILL."""
        if self._frozen:
            self._do_thaw()
        if self.rig.daemon.close in self.rig.box._open:
            self.rig.end(signal.Signals[how])

    def _do_stop(self):
        self._do_down("SIGTERM")
        self.rig.start()

    def _do_kill(self):
        self._do_down("SIGKILL")
        self.rig.start()

    def _do_ready(self):
        self._do_up()
        self.rig.ready()

    def _do_freeze(self, overflow):
        self._do_up()
        self.rig.ready()
        if not self._frozen:
            self.rig.freeze(overflow=bool(overflow))
            self._frozen = True

    def _do_thaw(self):
        if self._frozen:
            self.rig.thaw()
            self._frozen = False

    def _do_version(self):
        """A higher one of the processor that records, from the next start on."""
        self._do_down("SIGTERM")
        self.rig.new_version()
        self._model.new_version(self.rig.version)
        self.rig.start()

    def _do_few_watches(self):
        self._do_down("SIGTERM")
        self.rig.few_watches = True
        self.rig.start(fallback_scan_seconds=0.5)

    def _do_clock(self, seconds):
        self.rig.clock(seconds)
