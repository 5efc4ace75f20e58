"""Patches: index rows (image, geometry, row, col, label), never image files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import SPLITS, Stage
from tasks.dataset import Dataset

if TYPE_CHECKING:
    from pipeline.dataset_to_patches import PatchIndex


class Patches(Stage):
    def upstream(self) -> Mapping[str, Stage]:
        return {"dataset": self.sibling(Dataset)}

    def make(self, draft: Draft) -> str:
        import pandas as pd

        from pipeline.dataset_to_patches import index_patches

        counts = []
        for split in SPLITS:
            photos = self.sibling(Dataset).photos(split)
            eightfold = split == "train" and self.knobs.geometry == "eightfold"
            sources = ((photo.shape_hw, photo.mask(), photo.label) for photo in photos)
            rows = index_patches(sources, self.knobs, eightfold=eightfold)
            files.write_arrays(
                draft.path(f"{split}.npz"),
                image=rows.image,
                geometry=rows.geometry,
                row=rows.row,
                col=rows.col,
                label=rows.label,
            )
            crack = int(rows.label.sum())
            counts.append({"split": split, "images": len(photos), "crack": crack, "no_crack": len(rows) - crack})
        files.write_table(draft.path("counts.csv"), pd.DataFrame(counts))
        return ", ".join(f"{row['split']} {row['crack']:,} crack + {row['no_crack']:,} not" for row in counts)

    def rows(self, split: str) -> PatchIndex:
        from pipeline.dataset_to_patches import PatchIndex

        return PatchIndex(**files.read_arrays(self.entry.checked(f"{split}.npz")))
