"""Locks of entries to be: the kernel frees them at any death of their holder, on this machine or another."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from tasks.core import console

_DO_NOT_WORK = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


@contextlib.contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a folder to be, where the file system has locks; where not, the rename decides."""
    path = _lock_of(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as stream:
        if not _taken(stream):
            stream.seek(0)
            say(f"waits for {stream.read().strip() or 'another process'}, which computes the same")
            fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        stream.truncate()
        stream.write(f"process {os.getpid()} on {os.uname().nodename}")
        stream.flush()
        yield


def _taken(stream: TextIO) -> bool:
    """False where another process holds it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _DO_NOT_WORK:
            raise
    return True


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f".lock-{folder.name}")


def is_locked(folder: Path) -> bool:
    """Whether some living process holds the lock of an entry."""
    path = _lock_of(folder)
    if not path.exists():
        return False
    with path.open("a", encoding="utf-8") as stream:
        return not _taken(stream)


def work(folder: Path) -> bool:
    """Whether a file system has locks (Lustre has them only where it is mounted with `-o flock`)."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _DO_NOT_WORK:
                return False
            raise
    return True


def own_name(folder: Path) -> str:
    """What a draft is called beyond its entry: nothing where locks keep others away from it; where there are none, a
    name of its own, which no other run goes on with."""
    if work(folder.parent):
        return ""
    console.say_once(
        "Locks",
        f"{folder.parent.parent} has no file locks (Lustre: mount it with -o flock): two runs of the same stage both "
        "compute it, the first to finish counts, and a killed stage starts anew",
    )
    return f"-{os.uname().nodename}-{os.getpid()}"
