"""TuneLabels: a small search over the label knobs on a few training images that have masks.

The CRF rival gets the masks of 100 training images for its search; this is the same favour, and its rows are marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import models
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import StageError
from tasks.core.stage import Choice, Stage
from tasks.pseudo_labels import PseudoLabels
from tasks.scores import Scores
from tasks.threshold_maps import ThresholdMaps

TABLE, NAMES, BEST = "search.csv", "images.csv", "best.json"
TUNED = (
    "ThresholdMaps.window_px",
    "PseudoLabels.cam_weight",
    "PseudoLabels.localization_threshold",
    "PseudoLabels.erosion_iterations",
)


class TuneLabels(Stage):
    arch = Choice(models.CLASSIFIERS, "arch", default="")

    def labels(self) -> PseudoLabels:
        return self.sibling(PseudoLabels, arch=self.arch, split="train")

    def threshold_maps(self) -> dict[int, ThresholdMaps]:
        return {
            window_px: self.sibling(ThresholdMaps, split="train", window_px=str(window_px))
            for window_px in self.knobs.windows_px
        }

    def upstream(self) -> Mapping[str, Stage]:
        maps = {f"window_{window_px}": stage for window_px, stage in self.threshold_maps().items()}
        scores = self.sibling(Scores, labels="pseudo", arch=self.arch, split="train")
        return {**maps, "labels": self.labels(), "scores": scores}

    def make(self, draft: Draft) -> str:
        import pandas as pd

        from pipeline.searches.labels import as_table, draw, search

        masked = {photo.id: photo for photo in self.labels().photos() if photo.mask_path}
        if not masked:
            raise StageError(f"no training image of {self.dataset} has a mask; there is nothing to tune on")
        names = draw(list(masked), self.knobs)
        empty = self.sibling(Scores, labels="pseudo").knobs.empty
        rows = search(self._labelled([masked[name] for name in names]), empty)
        files.write_table(draft.path(TABLE), as_table(rows))
        files.write_table(draft.path(NAMES), pd.DataFrame({"id": names}))
        files.write_json(draft.path(BEST), rows[0])
        found = " ".join(f"{name}={rows[0][name]}" for name in ("window_px", "cam_weight"))
        more = " ".join(f"{name}={rows[0][name]}" for name in ("localization_threshold", "erosion_iterations"))
        return f"tuned on {len(names)} masks: ODS {rows[0]['ods']:.4f} with {found} {more}"

    def _labelled(self, photos: list[Any]) -> Iterator[Any]:
        from pipeline.maps_to_pseudo_labels import labeller
        from pipeline.searches.labels import choices, labels_of

        labels, options = self.labels(), choices(self.knobs)
        with self.progress() as progress:
            for done, photo in enumerate(photos, start=1):
                patch_map, cam, _ = labels.maps(photo.id)
                dark = {window_px: stage.map(photo.id) for window_px, stage in self.threshold_maps().items()}
                yield photo.mask(), labels_of(dark, options, labeller(patch_map, cam, labels.knobs))
                progress(done, len(photos))

    def variant_of_best(self) -> str:
        """The best combination as a variant that any stage understands; only when the search is done."""
        best = files.read_json(self.entry.checked(BEST))
        return ";".join(f"{name}={best[name.split('.')[1]]}" for name in TUNED)
