"""Notes on large entries that were looked at file by file: while no file came or went, that need not be done again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tasks.core import notes


def is_as_seen(folder: Path) -> bool:
    """Whether no folder of an entry has changed since; a file that grew or shrank in its place does not show here."""
    noted = notes.read(_name(folder))
    try:
        return bool(noted) and all(_state(folder / below) == state for below, state in noted.items())
    except OSError:
        return False


def remember(folder: Path) -> None:
    notes.write(_name(folder), {below: _state(folder / below) for below in _folders(folder, "")})


def _name(folder: Path) -> str:
    return f"seen-{folder.parent.name}-{folder.name}"


def _state(folder: Path) -> list[object]:
    """Its time changes with every name in it."""
    found = folder.stat()
    return [found.st_mtime_ns, found.st_ino]


def _folders(folder: Path, prefix: str) -> Iterator[str]:
    yield prefix
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _folders(Path(entry.path), f"{prefix}{entry.name}/")
