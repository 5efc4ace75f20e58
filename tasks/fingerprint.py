"""The identity of a folder of data: the checksum of every file, remembered so that nothing is read twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from tasks import files, settings
from tasks.errors import StageError


def of_folder(dataset: str, root: Path) -> str:
    """sha256 over (relative path, sha256) of all regular, visible files below `root`."""
    if not root.is_dir():
        raise StageError(
            f"the data of {dataset} are not at {root}; put them there, or name the folder in "
            f"configs/{dataset}.toml ([Dataset] root) or in the environment variable HAIRLINE_DATA"
        )
    side = settings.outputs_folder() / ".fingerprints" / f"{dataset}.json"
    known = _remembered(side)
    seen = {name: _digest(root / name, status, known.get(name)) for name, status in walk(root)}
    if seen != known:
        _remember(side, seen)
    total = hashlib.sha256()
    for name, record in sorted(seen.items()):
        total.update(f"{name}\0{record[-1]}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """(relative path, stat) of every regular file; hidden ones and Thumbs.db are left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and name != "Thumbs.db" and path.is_file():
                yield str(path.relative_to(root)), path.stat()


def _digest(path: Path, status: os.stat_result, known: list[object] | None) -> list[object]:
    """[size, mtime, inode, sha256]; the file is read only when one of the first three is new."""
    facts: list[object] = [status.st_size, status.st_mtime_ns, status.st_ino]
    if known is not None and known[:3] == facts:
        return known
    return [*facts, files.sha256(path)]


def _remembered(side: Path) -> dict[str, list[object]]:
    try:
        loaded = files.read_json(side)
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _remember(side: Path, seen: dict[str, list[object]]) -> None:
    try:
        side.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(side, seen)
    except OSError:
        return  # only speed is lost; a stage that cannot write says so itself
