"""What kind of file system a path is on, and whether other hosts write to it."""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")
_ESCAPED = re.compile(r"\\([0-7]{3})")
"""What would end a field or begin a comment, see proc_mounts(5)."""

REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs"})


def kind_of(path: str | os.PathLike[str]) -> str | None:
    """The kind of file system that a file, or the folder where it will be, is on, as the kernel calls it.

    None: that cannot be said. Links are followed.
    """
    real, best, kind = os.path.realpath(path), "", None
    try:
        with MOUNTS.open(encoding="utf-8", errors="surrogateescape") as mounts:
            for mount in mounts:
                _, folder, name, *_ = mount.split(" ")
                folder = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), folder)
                inside = real == folder or real.startswith(folder.rstrip("/") + "/")
                if inside and len(folder) >= len(best):  # of two in one place, the later one hides the other
                    best, kind = folder, name
    except OSError:
        return None
    return kind


def is_remote(kind: str) -> bool:
    """Whether changes by other hosts are not reported there; of FUSE, that is not known, so it counts as such."""
    return kind in REMOTE or kind.startswith("fuse.")
