"""How data sets lie on disk → one list of rows; works on relative paths and touches no file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

SPLITS = ("train", "val", "test")
_SAFE_STEM_CHARS = 80


@dataclass(frozen=True)
class Row:
    """One photo of a data set; `mask` is '' where there is none."""

    id: str
    image: str
    mask: str
    split: str
    group: str


def row_id(path: str) -> str:
    """A name that is safe for files and unique: the stem's harmless letters and a hash of the relative path."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(path).stem).strip("._-")[:_SAFE_STEM_CHARS]
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{stem}-{digest}" if stem else digest


def folders(paths: Iterable[str], suffixes: tuple[str, ...]) -> list[Row]:
    """`images/<split>/….jpg` with `masks/<split>/….png` of the same relative name, split = train, val or test."""
    images: dict[str, str] = {}
    masks: dict[str, list[str]] = {}
    for path in paths:
        parts = PurePosixPath(path).parts
        if PurePosixPath(path).suffix.lower() not in suffixes or len(parts) < 3:
            continue
        if parts[0] == "images":
            images[path] = parts[1]
        elif parts[0] == "masks":
            masks.setdefault(str(PurePosixPath(*parts[1:]).with_suffix("")), []).append(path)
    if not images:
        raise ValueError("no images/<split>/… found; allowed: folders images/train, images/val, images/test")
    return [_folders_row(path, split, masks) for path, split in sorted(images.items())]


def _folders_row(path: str, split: str, masks: dict[str, list[str]]) -> Row:
    if split not in SPLITS:
        raise ValueError(f"{path}: {split!r} is no split; allowed: images/train, images/val, images/test")
    stem = str(PurePosixPath(*PurePosixPath(path).parts[1:]).with_suffix(""))
    matching = masks.get(stem, [])
    if len(matching) > 1:
        raise ValueError(f"{path}: several masks match ({', '.join(matching)}); keep one")
    return Row(row_id(path), path, matching[0] if matching else "", split, stem)
