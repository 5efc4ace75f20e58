"""CrfSearch: the parameters of the CRF that give the best labels on a few training images that have masks.

The authors of the rival searched this way, with 100 masks; a rival with less would be easy to beat. What the search
tried and how many masks it used stays on record, and without masks the library's documented parameters are taken.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import models
from tasks.cams import Cams
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import StageError
from tasks.core.stage import Choice, Stage
from tasks.dataset import Dataset, Photo
from tasks.patch_maps import PatchMaps

if TYPE_CHECKING:
    from pipeline.ops.crf import CrfParameters

TABLE, NAMES, BEST = "search.csv", "images.csv", "best.json"
_ABOUT_THE_SEARCH = ("searched", "masks_used", "mean_iou")


class CrfSearch(Stage):
    """search.csv: every parameter set with its mean IoU; images.csv: whose masks were used; best.json."""

    arch = Choice(models.CLASSIFIERS, "arch", default="")
    resumable = True

    def cams(self) -> Cams:
        return self.sibling(Cams, arch=self.arch, split="train")

    def patch_maps(self) -> PatchMaps:
        return self.sibling(PatchMaps, arch=self.arch, split="train")

    def upstream(self) -> Mapping[str, Stage]:
        if not self.knobs.search:
            return {}
        maps: dict[str, Stage] = {"patch_maps": self.patch_maps()} if self.knobs.unary == "merged" else {}
        return {"dataset": self.sibling(Dataset), "cams": self.cams(), **maps}

    def make(self, draft: Draft) -> str:
        import pandas as pd

        from pipeline.searches import crf as crf_search

        photos = self._drawn()
        rows = self._searched(draft, photos) if photos else crf_search.not_searched(self.knobs)
        table = crf_search.as_table(rows, masks_used=len(photos))
        files.write_table(draft.path(TABLE), table)
        files.write_table(draft.path(NAMES), pd.DataFrame({"id": [photo.id for photo in photos]}))
        first = crf_search.ranked(rows)[0]
        about = {"searched": bool(photos), "masks_used": len(photos), "mean_iou": _or_none(first["mean_iou"])}
        files.write_json(draft.path(BEST), {**crf_search.parameters_of(first)._asdict(), **about})
        return f"{self._why(photos, first, len(rows))}: {_shown(crf_search.parameters_of(first))}"

    def _drawn(self) -> list[Photo]:
        """The training images of the search: drawn with the seed from those that have masks."""
        from pipeline.searches.labels import draw

        if not self.knobs.search:
            return []
        masked = {photo.id: photo for photo in self.sibling(Dataset).photos("train") if photo.mask_path}
        return [masked[name] for name in draw(list(masked), self.knobs)]

    def _searched(self, draft: Draft, photos: list[Photo]) -> list[dict[str, Any]]:
        """The rows of all passes; a coarse pass only says which sets are worth a look in full size."""
        from pipeline.searches import crf as crf_search

        knobs, rows = self.knobs, []
        settings = crf_search.grid(knobs)
        if knobs.coarse_scale < 1:
            rows = self._pass(draft, "coarse", photos, settings, knobs.coarse_scale)
            settings = crf_search.kept(rows, knobs)
        full = self._pass(draft, "full", photos, settings, 1.0)
        more = crf_search.refined(full, knobs)
        return [*rows, *full, *(self._pass(draft, "refined", photos, more, 1.0) if more else [])]

    def _pass(
        self, draft: Draft, name: str, photos: list[Photo], settings: Sequence[CrfParameters], scale: float
    ) -> list[dict[str, Any]]:
        """Counts of every image, each in a file, so that a killed search goes on with the images that are missing."""
        from pipeline.searches.crf import counts_of, rows_of

        self.say(f"{name} pass: {len(photos)} images at {scale:g} of their size, parameter sets: {len(settings)}")
        by_id = {photo.id: photo for photo in photos}

        def work(image: str) -> None:
            photo = by_id[image]
            counts = counts_of(photo.image(), self._unary(photo), _mask(photo), settings, self.knobs, scale)
            files.write_array(draft.path(f"{name}/{image}.npy"), counts)

        self.for_each(list(by_id), lambda image: f"{name}/{image}.npy", draft, work)
        counted = [files.read_array(draft.folder / name / f"{image}.npy") for image in by_id]
        return rows_of(settings, np.sum(counted, axis=0), found_by=name, scale=scale)

    def _unary(self, photo: Photo) -> NDArray[np.float32]:
        from pipeline.cams_to_crf_labels import unary_map

        patch_map = self.patch_maps().map(photo.id, photo.shape_hw) if self.knobs.unary == "merged" else None
        return unary_map(self.cams().map(photo.id, photo.shape_hw), patch_map, self.knobs)

    def _why(self, photos: list[Photo], best: dict[str, Any], rows: int) -> str:
        if photos:
            return f"mean IoU {best['mean_iou']:.4f} on {len(photos)} masks, the best of {rows} rows"
        why = "no training image has a mask" if self.knobs.search else "search = false"
        return f"not searched ({why}), the library's default"

    @functools.cached_property
    def _best(self) -> dict[str, Any]:
        loaded: dict[str, Any] = files.read_json(self.entry.checked(BEST))
        return loaded

    def best(self) -> dict[str, Any]:
        """The parameters of the two kernels and the iterations, by name."""
        return {name: value for name, value in self._best.items() if name not in _ABOUT_THE_SEARCH}

    def masks_used(self) -> int:
        """How many pixel masks decided; 0: none, the parameters are the library's default."""
        return int(self._best["masks_used"])


def _mask(photo: Photo) -> NDArray[np.bool_]:
    mask = photo.mask()
    if mask is None:
        raise StageError(f"the mask of {photo.image_path} is gone; run the same command again")
    return mask


def _shown(parameters: CrfParameters) -> str:
    gaussian, bilateral = parameters[:2], parameters[2:5]
    texts = [" ".join(f"{value:g}" for value in values) for values in (gaussian, bilateral)]
    return f"gaussian {texts[0]}, bilateral {texts[1]}, {parameters.iterations} iterations"


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
