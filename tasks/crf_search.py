"""CrfSearch: the parameters of the CRF that give the best labels on a few training images that have masks.

The authors of the rival searched this way, with 100 masks; a rival with less would be easy to beat. What the search
tried and how many masks it used stays on record, and without masks the library's documented parameters are taken.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import CrfSearchKnobs
from pipeline.ops.types import Map
from tasks.cams import CamMaps, Cams
from tasks.classifier import ARCH
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import AnyStage, Stage
from tasks.core.workers import Place
from tasks.dataset import Dataset
from tasks.image_stage import make_each
from tasks.intake.photo_index import Photo
from tasks.labels import LabelMaps
from tasks.merged_labels import MergedLabels
from tasks.patch_maps import GridMaps, PatchMaps

if TYPE_CHECKING:
    from pipeline.ops.crf import CrfParameters
    from pipeline.searches.crf import Row

TABLE, NAMES, BEST = "search.csv", "images.csv", "best.json"


class CrfSearch(Stage[CrfSearchKnobs]):
    """search.csv: every parameter set with its mean IoU; images.csv: whose masks were used; best.json."""

    arch = ARCH
    resumable = True

    def cams(self, **axes: str) -> Cams | None:
        """None where the CRF starts from what the networks of merged labels say, and no classifier is asked."""
        return None if self.knobs.unary == "evidence" else self.sibling(Cams, arch=self.arch, **axes)

    def patch_maps(self, **axes: str) -> PatchMaps | None:
        return self.sibling(PatchMaps, arch=self.arch, **axes) if self.knobs.unary == "merged" else None

    def evidence(self, **axes: str) -> MergedLabels | None:
        return self.sibling(MergedLabels, **axes) if self.knobs.unary == "evidence" else None

    def map_stages(self, **axes: str) -> dict[str, AnyStage]:
        """What the CRF starts from, on the images of a split."""
        stages = {"cams": self.cams(**axes), "patch_maps": self.patch_maps(**axes), "evidence": self.evidence(**axes)}
        return {role: stage for role, stage in stages.items() if stage}

    def unaries(self, **axes: str) -> Unaries:
        cams, patch_maps, evidence = self.cams(**axes), self.patch_maps(**axes), self.evidence(**axes)
        return Unaries(
            cams.maps() if cams else None,
            patch_maps.maps() if patch_maps else None,
            evidence.maps() if evidence else None,
            self.knobs,
        )

    def upstream(self) -> Mapping[str, AnyStage]:
        return {"dataset": self.sibling(Dataset), **self.map_stages(split="train")} if self.knobs.search else {}

    def make(self, draft: Draft) -> str:
        from pipeline.searches import crf

        photos = self._drawn()
        rows = self._searched(draft, photos) if photos else crf.not_searched(self.knobs)
        files.write_table(draft.path(TABLE), crf.as_table(rows, masks_used=len(photos)))
        files.write_rows(draft.path(NAMES), [{"id": photo.id} for photo in photos], ["id"])
        first = crf.ranked(rows)[0]
        mean_iou = None if math.isnan(first["mean_iou"]) else first["mean_iou"]
        about = {"searched": bool(photos), "masks_used": len(photos), "mean_iou": mean_iou}
        files.write_json(draft.path(BEST), {**crf.parameters_of(first)._asdict(), **about})
        return f"{self._why(photos, first, len(rows))}: {_shown(crf.parameters_of(first))}"

    def _drawn(self) -> list[Photo]:
        """The training images of the search: drawn with the seed from those that have masks."""
        from pipeline.searches.labels import draw

        if not self.knobs.search:
            return []
        masked = {photo.id: photo for photo in self.sibling(Dataset).photos("train") if photo.mask_path}
        return [masked[name] for name in draw(list(masked), self.knobs)]

    def _searched(self, draft: Draft, photos: list[Photo]) -> list[Row]:
        """The rows of all passes; a coarse pass only says which sets are worth a look in full size."""
        from pipeline.searches import crf

        knobs, coarse = self.knobs, []
        settings = crf.grid(knobs)
        if knobs.coarse_scale < 1:
            coarse = self._pass(draft, "coarse", photos, settings, knobs.coarse_scale)
            settings = crf.kept(coarse, knobs)
        full = self._pass(draft, "full", photos, settings, 1.0)
        more = crf.refined(full, knobs)
        return [*coarse, *full, *(self._pass(draft, "refined", photos, more, 1.0) if more else [])]

    def _pass(
        self, draft: Draft, name: str, photos: list[Photo], settings: Sequence[CrfParameters], scale: float
    ) -> list[Row]:
        """Counts of every image, each in a file, so that a killed search goes on with the images that are missing."""
        from pipeline.searches.crf import rows_of

        self.say(f"{name} pass: {len(photos)} images at {scale:g} of their size, parameter sets: {len(settings)}")
        job = CountsJob(self.unaries(split="train"), tuple(settings), scale)
        make_each(self, draft, photos, job, suffix=".npy", below=name)
        counted = [files.read_array(draft.folder / name / f"{photo.id}.npy") for photo in photos]
        return rows_of(settings, np.sum(counted, axis=0), found_by=name, scale=scale)

    def _why(self, photos: list[Photo], best: Row, rows: int) -> str:
        if photos:
            return f"mean IoU {best['mean_iou']:.4f} on {len(photos)} masks, the best of {rows} rows"
        why = "no training image has a mask" if self.knobs.search else "search = false"
        return f"not searched ({why}), the library's default"

    @functools.cached_property
    def _best(self) -> dict[str, float]:
        loaded: dict[str, float] = files.read_json(self.entry.checked(BEST))
        return loaded

    def best(self) -> dict[str, float]:
        """The parameters of the two kernels and the iterations, by name."""
        from pipeline.ops.crf import CrfParameters

        return {name: self._best[name] for name in CrfParameters._fields}

    def masks_used(self) -> int:
        """How many pixel masks decided; 0: none, the parameters are the library's default."""
        return int(self._best["masks_used"])


@dataclass(frozen=True)
class Unaries:
    """What the CRF starts from: the CAM of an image, or both maps merged, or its merged label."""

    cams: CamMaps | None
    patch_maps: GridMaps | None
    evidence: LabelMaps | None
    knobs: CrfSearchKnobs

    def of(self, photo: Photo) -> Map:
        from pipeline.cams_to_crf_labels import unary_map

        if self.evidence:
            return self.evidence.soft(photo)
        assert self.cams
        patch_map = self.patch_maps.of(photo) if self.patch_maps else None
        return unary_map(self.cams.of(photo), patch_map, self.knobs)


@dataclass(frozen=True)
class CountsJob:
    """Counts of hits of every parameter set on an image."""

    unaries: Unaries
    settings: tuple[CrfParameters, ...]
    scale: float

    def open(self, place: Place) -> Callable[[Photo], NDArray[np.int64]]:
        from pipeline.searches.crf import counts_of

        def counts(photo: Photo) -> NDArray[np.int64]:
            mask, knobs = photo.checked_mask(), self.unaries.knobs
            return counts_of(photo.image(), self.unaries.of(photo), mask, self.settings, knobs, self.scale)

        return counts


def _shown(parameters: CrfParameters) -> str:
    gaussian, bilateral = parameters[:2], parameters[2:5]
    texts = [" ".join(f"{value:g}" for value in values) for values in (gaussian, bilateral)]
    return f"gaussian {texts[0]}, bilateral {texts[1]}, {parameters.iterations} iterations"
