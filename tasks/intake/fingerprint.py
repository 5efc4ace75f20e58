"""The identity of a user's data: the checksum of every file, remembered so that nothing is read twice."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.knobs import FetchKnobs
from tasks.core import files, notes
from tasks.core.errors import StageError
from tasks.intake import archive
from tasks.intake.archive_members import is_hidden

_UNREADABLE = "unreadable"


@dataclass
class Listing:
    """Visible files below a folder: relative path → what the system says of it, None for what is no regular file."""

    files: dict[str, os.stat_result | None] = field(default_factory=dict)
    hidden: int = 0


def of_data(dataset: str, place: Path, limits: FetchKnobs) -> str:
    """The same for a folder and for an archive of it; an archive is read, not unpacked."""
    if place.is_file():
        return _total(archive.checksums(place, limits))
    return of_folder(dataset, place)


def of_folder(dataset: str, root: Path) -> str:
    """sha256 over (relative path, sha256) of all visible files below `root`."""
    found = listing(dataset, root).files
    state, summary = _state(found), f"{dataset}.total"  # of a million files the second note alone is read in no time
    before = notes.read(summary).get(state)
    if before:
        return str(before[0])
    known = notes.read(dataset)
    seen = {name: _digest(f"{root}/{name}", status, known.get(name)) for name, status in found.items()}
    if seen != known:
        notes.write(dataset, seen)
    total = _total({name: str(facts[-1]) for name, facts in seen.items()})
    if [_UNREADABLE] not in seen.values():  # what cannot be read is tried again
        notes.write(summary, {state: [total]})
    return total


def _state(found: Mapping[str, os.stat_result | None]) -> str:
    """Changes with whatever `_digest` looks at."""
    told = (f"{name}\0{' '.join(map(str, _facts(status)))}" if status else name for name, status in found.items())
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()


def _facts(status: os.stat_result) -> list[object]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _total(checksums: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for name in sorted(checksums):
        total.update(f"{name}\0{checksums[name]}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def listing(dataset: str, root: Path) -> Listing:
    """Everything below `root`; links to folders are followed, each folder is entered once."""
    if not root.is_dir():
        raise StageError(
            f"the data of {dataset} are not at {root}; put them there, or name the place in "
            f"configs/{dataset}.toml ([Dataset] root) or the folder above it in the environment variable HAIRLINE_DATA"
        )
    result = Listing()
    entered: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        status = (root / prefix).stat()
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for entry in _scanned(root / prefix):
            if is_hidden(entry.name):
                result.hidden += 1
            elif _is_folder(entry):
                waiting.append(f"{prefix}{entry.name}/")
            else:
                result.files[f"{prefix}{entry.name}"] = _status(entry)
    return result


def _scanned(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except PermissionError:
        raise StageError(f"{folder} cannot be read; change its permissions or remove it") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads back to itself
        return False


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        status = entry.stat()
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _digest(path: str, status: os.stat_result | None, known: object) -> list[object]:
    """[size, mtime, ctime, inode, sha256]; the file is read only when one of the first four is new."""
    if status is None:
        return [_UNREADABLE]
    facts = _facts(status)
    if isinstance(known, list) and known[:-1] == facts:
        return known
    try:
        return [*facts, files.sha256(Path(path))]
    except OSError:
        return [_UNREADABLE]  # `photo_decoding` says so
