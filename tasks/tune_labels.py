"""TuneLabels: a small search over the label knobs on a few training images that have masks.

The CRF rival gets the masks of 100 training images for its search; this is the same favour, and its rows are marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pipeline.knobs import TuneLabelsKnobs
from pipeline.ops.types import Grey, Mask
from tasks.classifier import ARCH
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import StageError
from tasks.core.stage import AnyStage, Stage
from tasks.intake.photo_index import Photo
from tasks.pseudo_labels import PseudoLabels
from tasks.scores import Scores
from tasks.threshold_maps import ThresholdMaps

if TYPE_CHECKING:
    from pipeline.searches.labels import Combination

TABLE, NAMES, BEST = "search.csv", "images.csv", "best.json"
TUNED = (
    "ThresholdMaps.window_px",
    "PseudoLabels.cam_weight",
    "PseudoLabels.localization_threshold",
    "PseudoLabels.erosion_iterations",
)


class TuneLabels(Stage[TuneLabelsKnobs]):
    arch = ARCH

    def labels(self) -> PseudoLabels:
        return self.sibling(PseudoLabels, arch=self.arch, split="train")

    def threshold_maps(self) -> dict[int, ThresholdMaps]:
        return {
            window_px: self.sibling(ThresholdMaps, split="train", window_px=str(window_px))
            for window_px in self.knobs.windows_px
        }

    def scores(self) -> Scores:
        return self.sibling(Scores, labels="pseudo", arch=self.arch, split="train")

    def upstream(self) -> Mapping[str, AnyStage]:
        maps = {f"window_{window_px}": stage for window_px, stage in self.threshold_maps().items()}
        return {**maps, "labels": self.labels(), "scores": self.scores()}

    def make(self, draft: Draft) -> str:
        from pipeline.searches.labels import as_table, draw, search

        masked = {photo.id: photo for photo in self.labels().photos() if photo.mask_path}
        if not masked:
            raise StageError(f"no training image of {self.dataset} has a mask; there is nothing to tune on")
        names = draw(list(masked), self.knobs)
        rows = search(self._labelled([masked[name] for name in names]), self.scores().knobs.empty)
        files.write_table(draft.path(TABLE), as_table(rows))
        files.write_rows(draft.path(NAMES), [{"id": name} for name in names], ["id"])
        files.write_json(draft.path(BEST), rows[0])
        best = " ".join(f"{name}={rows[0][name]}" for name in (tuned.split(".")[1] for tuned in TUNED))
        return f"tuned on {len(names)} masks: ODS {rows[0]['ods']:.4f} with {best}"

    def _labelled(self, photos: list[Photo]) -> Iterator[tuple[Mask, dict[Combination, Grey]]]:
        """Each mask, and the label of every combination."""
        from pipeline.maps_to_pseudo_labels import labeller
        from pipeline.searches.labels import combinations, labels_of

        labels, every = self.labels(), combinations(self.knobs)
        dark = {window_px: stage.maps() for window_px, stage in self.threshold_maps().items()}
        with self.progress() as progress:
            for done, photo in enumerate(photos, start=1):
                patch_map, cam, _ = labels.sources().of(photo)
                by_window = {window_px: maps.of(photo) for window_px, maps in dark.items()}
                yield photo.checked_mask(), labels_of(by_window, every, labeller(patch_map, cam, labels.knobs))
                progress(done, len(photos))

    def masks_used(self) -> int:
        return len(files.read_rows(self.entry.checked(NAMES)))

    def variant_of_best(self) -> str:
        """The best combination as a variant that any stage understands; only when the search is done."""
        best = files.read_json(self.entry.checked(BEST))
        return ";".join(f"{name}={best[name.split('.')[1]]}" for name in TUNED)
