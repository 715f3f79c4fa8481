"""What watchdog does to folders, done by descriptors: no link is followed, and no depth is too deep.

Watchdog walks with :func:`os.walk`, which calls itself once for each level: a thousand folders in one another end its
threads with a RecursionError. It adds watches by path, too, so that a folder that is swapped for a link in time has
another one watched, outside the root. The classes here differ from its own in just that.
"""

import os
from collections.abc import Iterator

from watchdog.events import DirCreatedEvent, DirMovedEvent, FileCreatedEvent, FileMovedEvent, FileSystemEvent
from watchdog.observers.api import DEFAULT_OBSERVER_TIMEOUT, BaseObserver
from watchdog.observers.inotify import InotifyEmitter, InotifyObserver, InotifyWatchGroup
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD, Mask, WatchDescriptor
from watchdog.observers.inotify_move_event_grouper import GroupedInotifyEvent, PathedInotifyEvent

from daemon.tree import Walk

_NEW_FOLDER = Mask(InotifyConstants.IN_CREATE | InotifyConstants.IN_ISDIR)


def _walk(root: str, start: str) -> Walk:
    """What cannot be opened is not watched: that is told by whoever scans."""
    return Walk(root, lambda _path, _error: None, start=start[len(root) + 1 :])


def _listed(descriptor: int) -> Iterator[tuple[str, bool]]:
    """Names in a folder, and whether they are of folders."""
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                yield entry.name, entry.is_dir(follow_symlinks=False)
    except OSError:
        return


def _path(root: str, inner: str) -> bytes:
    """Of a folder, as the watches are known by."""
    return os.fsencode(f"{root}/{inner}"[:-1])


def _below(root: str, start: str) -> Iterator[tuple[str, bool]]:
    """Paths of all that is below a folder, and whether they are folders."""
    with _walk(root, start) as walk:
        for path, descriptor in walk:
            for name, is_folder in _listed(descriptor):
                if is_folder:
                    walk.add(name)
                yield f"{root}/{path}{name}", is_folder


class _Group(InotifyWatchGroup):
    """The watches of the root and of what is below it."""

    def on_event(self, event: InotifyEvent) -> None:
        if not (self.is_recursive and event.is_create and event.is_directory and self._is_watched_below(event)):
            super().on_event(event)

    def _is_watched_below(self, event: InotifyEvent) -> bool:
        """Pass the event on and walk no folder, if the new one is watched: then so is what is in it.

        Who makes folders in one another is soon ahead of the watches, and for each of them a walk would go all the
        way down: the square of their number, while the changes of others wait.
        """
        with self._lock:
            path = self._build_event_source_path(event) if self.is_active else None
            if path is None or path not in self._active_callbacks_by_path:
                return False
            known = self._active_callbacks_by_path[path]
            with _walk(root := os.fsdecode(self.path), os.fsdecode(path)) as walk:
                for inner, descriptor in walk:
                    self._watch(_path(root, inner), descriptor)
            if self._active_callbacks_by_path[path] != known:
                return False  # another folder had that name before
            self._move_event_grouper.put_event(PathedInotifyEvent(event, path))
            return True

    def _add_all_callbacks(self, path: bytes) -> None:
        if not self.is_recursive:
            super()._add_all_callbacks(path)
            return
        root = os.fsdecode(self.path)
        if path == self.path:
            self._add_callback(path)  # raises an error where the root cannot be watched
        with _walk(root, os.fsdecode(path)) as walk:
            for inner, descriptor in walk:
                self._watch(_path(root, inner), descriptor)  # before it is listed, so that nothing is missed
                for name, is_folder in _listed(descriptor):
                    if is_folder:
                        walk.add(name)

    def _watch(self, path: bytes, descriptor: int) -> None:
        if path == self.path:
            return
        # The folder that is open, whatever its path leads to by now.
        itself = b"/proc/self/fd/%d/." % descriptor
        try:
            wd = self._inotify_fd.add_callback(itself, self.event_mask, self._callback, self._id)
        except OSError:
            return  # the limit is reached, or it is gone: the watches are counted by whoever scans
        before = self._active_callbacks_by_watch.get(wd)
        if before is not None and self._active_callbacks_by_path.get(before) == wd:
            del self._active_callbacks_by_path[before]  # it was moved, which is not told yet
        self._active_callbacks_by_path[path] = wd
        self._active_callbacks_by_watch[wd] = path

    def _move_watches(self, move_src_path: bytes, move_dst_path: bytes) -> bool:
        """Watch all that is in a folder that was moved, too.

        What was made in it before may be told before the move, and then there is nothing at its path any more.
        """
        was_watched = super()._move_watches(move_src_path, move_dst_path)
        if was_watched and self.is_recursive:
            self._add_all_callbacks(move_dst_path)
        return was_watched

    def _remove_watch_internally(self, wd: WatchDescriptor) -> None:
        """Forget a watch, and its path unless another folder has that by now.

        The path may be gone already; an error would leave all the other watches, and the threads, where they are.
        """
        path = self._active_callbacks_by_watch.pop(wd, None)
        if path is not None and self._active_callbacks_by_path.get(path) == wd:
            del self._active_callbacks_by_path[path]

    def _recursive_simulate(self, src_path: bytes) -> list[InotifyEvent]:
        events = []
        root = os.fsdecode(self.path)
        with _walk(root, os.fsdecode(src_path)) as walk:
            for inner, descriptor in walk:
                wd = self._active_callbacks_by_path.get(_path(root, inner))
                for name, is_folder in _listed(descriptor):
                    if is_folder:
                        walk.add(name)
                    if wd is not None:  # else it came after the watches, and its own event tells what is in it
                        mask = _NEW_FOLDER if is_folder else InotifyConstants.IN_CREATE
                        events.append(InotifyEvent(wd, mask, 0, os.fsencode(name)))
        return events


class _Emitter(InotifyEmitter):
    """Turns what the kernel says of the root into events."""

    def on_thread_start(self) -> None:
        self._inotify = _Group(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            is_recursive=self.watch.is_recursive,
            event_mask=self.get_event_mask_from_filter(),
            follow_symlink=self.watch.follow_symlink,
        )

    def build_and_queue_event(self, event: GroupedInotifyEvent, *, full_events: bool = False) -> None:
        arrived = event if isinstance(event, PathedInotifyEvent) else event[1]
        if not (self.watch.is_recursive and arrived.ev.is_directory and arrived.ev.is_moved_to):
            super().build_and_queue_event(event, full_events=full_events)
            return
        new = os.fsdecode(arrived.path)
        old = None if isinstance(event, PathedInotifyEvent) else os.fsdecode(event[0].path)
        self.queue_event(_arrival(new, old, is_folder=True))
        for path, is_folder in _below(os.fsdecode(self.watch.path), new):
            before = None if old is None else old + path[len(new) :]
            self.queue_event(_arrival(path, before, is_folder=is_folder))


def _arrival(new: str, old: str | None, *, is_folder: bool) -> FileSystemEvent:
    if old is None:
        return (DirCreatedEvent if is_folder else FileCreatedEvent)(new)
    return (DirMovedEvent if is_folder else FileMovedEvent)(old, new)


class Observer(InotifyObserver):
    """Watchdog's observer with these in it."""

    def __init__(self) -> None:
        self._inotify_fd = InotifyFD()
        self._inotify_fd.start()
        BaseObserver.__init__(self, _Emitter, timeout=DEFAULT_OBSERVER_TIMEOUT, inotify_fd=self._inotify_fd)
