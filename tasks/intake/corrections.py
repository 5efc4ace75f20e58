"""Masks that somebody drew by hand for photos of their own: `outputs/answers/<data set>/corrections/<photo>.png`.

Whatever tool drew them, in the photo's size, white where the crack is. They take the place of what a network or a label
says, and are gone as soon as the file is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.knobs import DatasetKnobs
from pipeline.layouts.on_disk import MASK_SUFFIXES
from pipeline.ops.types import Mask
from tasks.core import files
from tasks.core.settings import outputs_folder
from tasks.intake import photo_decoding
from tasks.intake.fingerprint import of_folder

FOLDER = "corrections"


@dataclass(frozen=True)
class Corrections:
    """Photo's name without its suffix → the mask that was drawn for it."""

    folder: Path
    masks: dict[str, Path]

    def path_of(self, name: str) -> Path | None:
        return self.masks.get(str(PurePosixPath(name).with_suffix("")))

    def sha256(self, name: str) -> str:
        """Of the mask of a photo; "" where there is none."""
        path = self.path_of(name)
        return files.sha256(path) if path else ""

    def mask_of(self, name: str, shape_hw: tuple[int, int], rules: DatasetKnobs) -> Mask | None:
        path = self.path_of(name)
        if path is None:
            return None
        mine = replace(rules, mask_inverted=False)  # that a data set's masks are black on white says nothing of these
        return photo_decoding.load_mask(path, mine, shape_hw=shape_hw, warn=lambda _: None)


def corrections_of(dataset: str) -> Corrections:
    folder = folder_of(dataset)
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MASK_SUFFIXES and path.is_file())
    return Corrections(folder, {str(path.relative_to(folder).with_suffix("")): path for path in found})


def folder_of(dataset: str) -> Path:
    return outputs_folder() / "answers" / dataset / FOLDER


def fingerprint_of(dataset: str) -> str:
    """Part of the key of every label of the data set; "" where nothing was corrected."""
    return of_folder(f"{dataset}-{FOLDER}", folder_of(dataset)) if corrections_of(dataset).masks else ""
