"""Dataset: one index of checked images and masks, whatever the folder looks like."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import knobs, layouts
from tasks import files, fingerprint, gate, settings
from tasks.base import SPLITS, Stage
from tasks.cache import Draft
from tasks.demo_photos import DemoPhotos
from tasks.errors import StageError

if TYPE_CHECKING:
    import pandas as pd

INDEX = "index.csv"
REJECTED = "rejected.csv"


@dataclass(frozen=True)
class Photo:
    """One row of the index, with the means to load it."""

    id: str
    split: str
    image_path: Path
    mask_path: Path | None
    label: int
    rules: knobs.DatasetKnobs

    def image(self) -> NDArray[np.uint8]:
        return gate.load_image(self.image_path, max_pixels=self.rules.max_pixels)

    def mask(self, warn: Any = None) -> NDArray[np.bool_] | None:
        """bool H×W, True for crack; None where the data set has no mask for this photo."""
        if self.mask_path is None:
            return None
        return gate.load_mask(
            self.mask_path,
            shape_hw=self.image().shape[:2],
            threshold=self.rules.mask_threshold,
            max_grey_share=self.rules.max_grey_share,
            max_pixels=self.rules.max_pixels,
            warn=warn or (lambda _: None),
        )


class Dataset(Stage):
    """index.csv: id, image, mask, label, split, group, size and checksum of every photo."""

    def upstream(self) -> Mapping[str, Stage]:
        return {"photos": self.sibling(DemoPhotos)} if self.knobs.layout == "synthetic" else {}

    def photos_root(self) -> Path:
        """Where the image files are."""
        if self.knobs.layout == "synthetic":
            return self.sibling(DemoPhotos).photos_root()
        return Path(os.environ.get("HAIRLINE_DATA") or settings.ROOT / self.knobs.root).expanduser()

    def significant_knobs(self) -> dict[str, Any]:
        """Not the place of the data: their checksums count."""
        return {name: value for name, value in super().significant_knobs().items() if name != "root"}

    def fingerprint(self) -> str:
        return "" if self.knobs.layout == "synthetic" else fingerprint.of_folder(self.dataset, self.photos_root())

    def make(self, draft: Draft) -> str:
        import pandas as pd

        root = self.photos_root()
        rows = layouts.folders((name for name, _ in fingerprint.walk(root)), gate.IMAGE_SUFFIXES)
        checked, bad = [], []
        with self.progress() as progress:
            for done, row in enumerate(rows, start=1):
                try:
                    checked.append(self._checked(row, root))
                except ValueError as error:
                    bad.append({"image": row.image, "reason": str(error)})
                progress(done, len(rows))
        self._refuse(bad)
        index = pd.DataFrame(checked)
        self._check_splits(index)
        files.write_table(draft.path(INDEX), index)
        files.write_table(draft.path(REJECTED), pd.DataFrame(bad, columns=["image", "reason"]))
        return self._summary(index, len(bad))

    def _checked(self, row: layouts.Row, root: Path) -> dict[str, Any]:
        photo = self._photo(row.id, row.split, root / row.image, root / row.mask if row.mask else None, -1)
        image = photo.image()
        if min(image.shape[:2]) < self.knobs.min_side_px:
            size = f"{image.shape[1]}×{image.shape[0]}"
            raise ValueError(f"{photo.image_path}: {size} pixels; allowed: sides of at least {self.knobs.min_side_px}")
        mask = photo.mask(self.say)
        return {
            "id": row.id,
            "image": row.image,
            "mask": row.mask,
            "label": -1 if mask is None else int(mask.any()),
            "split": row.split,
            "group": row.group,
            "width": image.shape[1],
            "height": image.shape[0],
            "pixels_sha256": hashlib.sha256(image.tobytes()).hexdigest(),
        }

    def _refuse(self, bad: list[dict[str, str]]) -> None:
        if bad and self.knobs.on_bad_image == "fail":
            listed = "\n  ".join(record["reason"] for record in bad)
            raise StageError(
                f'{len(bad)} bad files, mend or remove them (or set [Dataset] on_bad_image = "skip"):\n  {listed}'
            )

    def _check_splits(self, index: pd.DataFrame) -> None:
        for split in ("train", "test"):
            if split not in set(index["split"]):
                raise StageError(f"the {split} split of {self.dataset} is empty; put images under images/{split}")
        sides = index.groupby("pixels_sha256")["split"].nunique()
        twice = index[index["pixels_sha256"].isin(sides[sides > 1].index)]
        if len(twice):
            names = ", ".join(twice["image"].head(6))
            raise StageError(f"the same image is in several splits ({names}); keep each image in one split only")

    def _summary(self, index: pd.DataFrame, bad: int) -> str:
        counts = ", ".join(f"{split} {int((index['split'] == split).sum())}" for split in SPLITS)
        skipped = f", {bad} bad ones left out ({REJECTED})" if bad else ""
        return f"{len(index)} images ({counts}), {int((index['label'] == 1).sum())} with cracks{skipped}"

    def _photo(self, name: str, split: str, image: Path, mask: Path | None, label: int) -> Photo:
        return Photo(name, split, image, mask, label, self.knobs)

    @functools.lru_cache(maxsize=8)  # noqa: B019 -- tasks live as long as the process
    def photos(self, *splits: str) -> tuple[Photo, ...]:
        """All photos of the named splits, in index order."""
        root = self.photos_root()
        rows = files.read_table(self.entry.checked(INDEX)).to_dict("records")
        return tuple(
            self._photo(
                str(row["id"]),
                str(row["split"]),
                root / str(row["image"]),
                root / str(row["mask"]) if row["mask"] else None,
                int(row["label"]),
            )
            for row in rows
            if row["split"] in splits
        )

    def photo(self, name: str, split: str) -> Photo:
        """The photo of that id in a split, or the only one whose id begins with it."""
        photos = self.photos(split)
        found = [photo for photo in photos if photo.id == name or photo.id.startswith(f"{name}-")]
        if len(found) == 1:
            return found[0]
        some = ", ".join(photo.id for photo in photos[:5])
        raise StageError(f"{len(found)} {split} images of {self.dataset} are called {name!r}; ids are such as {some}")
