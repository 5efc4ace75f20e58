"""The photos of a folder, of its folders, or of one file, under the names that their owner knows."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.layouts.on_disk import IMAGE_SUFFIXES, is_picture
from tasks.core.errors import SettingsError
from tasks.intake.fingerprint import listing
from tasks.intake.photo_decoding import shown


@dataclass(frozen=True)
class FoundPhoto:
    """A file that looks like a photo."""

    name: str  # relative to what was asked for
    path: Path
    stem: str  # what its results are called, without a suffix; no two photos share one


@dataclass(frozen=True)
class PhotoFolder:
    """What there is, and what nothing is made of."""

    place: Path
    photos: tuple[FoundPhoto, ...]
    others: tuple[str, ...]


def photo_folder(text: str, option: str = "--images") -> PhotoFolder:
    """Raises a SettingsError where there is no photo."""
    place = Path(text).expanduser().absolute()
    if place.is_file():
        return PhotoFolder(place, _named([place.name], place.parent), ())
    if not place.is_dir():
        raise SettingsError(f"{option} {shown(text)}: there is no such folder or file; give a folder of photos, or one")
    names = sorted(listing("", place).files)
    pictures = [name for name in names if is_picture(name)]
    if not pictures:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise SettingsError(f"{option} {shown(text)}: no photo in {len(names):,} files; it looks for {kinds}")
    return PhotoFolder(place, _named(pictures, place), tuple(name for name in names if not is_picture(name)))


def _named(names: Sequence[str], root: Path) -> tuple[FoundPhoto, ...]:
    """A photo's results have its own name; the suffix stays where two would have the same."""
    stems = collections.Counter(_stem(name).lower() for name in names)
    return tuple(
        FoundPhoto(name, root / name, _stem(name) if stems[_stem(name).lower()] == 1 else name) for name in names
    )


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
