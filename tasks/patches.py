"""Patches: index rows (image, geometry, row, col, label), never image files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.knobs import PatchesKnobs
from pipeline.layouts.on_disk import SPLITS
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import AnyStage, Stage
from tasks.dataset import Dataset

if TYPE_CHECKING:
    from pipeline.dataset_to_patches import PatchIndex


AnswersByPhoto = dict[str, list[tuple[int, int, int, bool]]]  # by the photo's id: row, column, side, yes


class Patches(Stage[PatchesKnobs]):
    def upstream(self) -> Mapping[str, AnyStage]:
        return {"dataset": self.sibling(Dataset)}

    def make(self, draft: Draft) -> str:
        from pipeline.dataset_to_patches import drawn_answers, index_patches

        counts: list[files.Row] = []
        for split in SPLITS:
            photos = self.sibling(Dataset).photos(split)
            eightfold = split == "train" and self.knobs.geometry == "eightfold"
            sources = ((photo.shape_hw, photo.mask(), photo.label) for photo in photos)
            rows = index_patches(sources, self.knobs, eightfold=eightfold)
            if split == "train" and self.knobs.max_answers:
                shapes = [photo.shape_hw for photo in photos]
                rows = drawn_answers(rows, shapes, self.knobs, side_px=self.side_px())
            files.write_arrays(draft.path(f"{split}.npz"), **vars(rows))
            crack = int(rows.label.sum())
            counts.append({"split": split, "images": len(photos), "crack": crack, "no_crack": len(rows) - crack})
        files.write_rows(draft.path("counts.csv"), counts)
        return ", ".join(f"{row['split']} {row['crack']:,} crack + {row['no_crack']:,} not" for row in counts)

    def significant_knobs(self) -> dict[str, object]:
        """Not what says that every patch has an answer: what was made before there was a choice stays valid."""
        usual: set[tuple[str, object]] = {("bag", "patch")}
        if not self.knobs.max_answers:
            usual |= {("max_answers", 0), ("answers_seed", self.knobs.answers_seed)}
        return {name: value for name, value in super().significant_knobs().items() if (name, value) not in usual}

    def side_px(self) -> int:
        """Of the squares that the rows show."""
        from pipeline.dataset_to_patches import bag_side

        return bag_side((photo.shape_hw for photo in self.sibling(Dataset).photos(*SPLITS)), self.knobs)

    def answers(self) -> AnswersByPhoto:
        """Of the training photos, as they lie."""
        rows = self.rows("train")
        plain = rows.geometry == 0
        columns = (rows.image[plain], rows.row[plain], rows.col[plain], rows.label[plain])
        names = [photo.id for photo in self.sibling(Dataset).photos("train")]
        found: AnswersByPhoto = {name: [] for name in names}
        side = self.side_px()
        for image, row, col, label in zip(*(column.tolist() for column in columns), strict=True):
            found[names[image]].append((row, col, side, bool(label)))
        return found

    def rows(self, split: str) -> PatchIndex:
        from pipeline.dataset_to_patches import PatchIndex

        return PatchIndex(**files.read_arrays(self.entry.checked(f"{split}.npz")))


def answered(stage: AnyStage, *, kept: bool) -> Patches | None:
    """The answers for the photos of a stage, if it keeps to them: those of the experiment's own training photos."""
    own = getattr(stage, "images_of", "") in ("", stage.dataset) and getattr(stage, "split", "") == "train"
    return stage.experiment.task(Patches) if kept and own else None
