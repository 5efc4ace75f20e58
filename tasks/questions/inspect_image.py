"""Inspect: one PNG with every interim map of one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import luigi

import models
from tasks.core import child, files, settings
from tasks.core.errors import StageError
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset, Photo
from tasks.pseudo_labels import PseudoLabels
from tasks.questions.run_all import Question

_COLUMNS = 4


class Inspect(Question):
    """`luigi --module tasks Inspect --dataset demo --image ID` draws image, maps, labels and mask."""

    image = luigi.Parameter(default="", positional=False, description="an image id; '' = the first with a crack")
    split = Choice(SPLITS, "split", default="train")
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    out = luigi.Parameter(default="", positional=False, description="the PNG to write; '' = outputs/inspect/…")

    def classifier_arch(self) -> str:
        return self.arch or self.first_classifier()

    def pseudo(self) -> PseudoLabels:
        return self.sibling(PseudoLabels, arch=self.classifier_arch(), split=self.split)

    def crf(self) -> CrfLabels:
        return self.sibling(CrfLabels, arch=self.classifier_arch(), split=self.split)

    def requires(self) -> list[Stage]:
        return [self.pseudo(), self.crf()]

    def answer(self) -> None:
        child.run_in_child("Inspect", self._draw, time_limit_s=0)

    def photo(self) -> Photo:
        photos = self.sibling(Dataset).photos(self.split)
        if self.image:
            return self.sibling(Dataset).photo(self.image, self.split)
        cracked = [photo for photo in photos if photo.label == 1] or list(photos)
        if not cracked:
            raise StageError(f"the {self.split} split of {self.dataset} is empty; name another with --split")
        return cracked[0]

    def _draw(self) -> None:
        from pipeline.reports.maps_to_sheet import panel, sheet

        photo = self.photo()
        panels = [panel(title, picture) for title, picture in self._pictures(photo)]
        target = (
            Path(self.out) if self.out else settings.outputs_folder() / "inspect" / f"{self.dataset}-{photo.id}.png"
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_png(target, sheet(panels, _COLUMNS))
        print(f"{photo.id}: {target}", flush=True)

    def _pictures(self, photo: Photo) -> list[tuple[str, Any]]:
        from pipeline.maps_to_pseudo_labels import localization

        pseudo = self.pseudo()
        image_rgb, mask = photo.image(), photo.mask()
        shape_hw = (image_rgb.shape[0], image_rgb.shape[1])
        patch_map, cam = pseudo.patch_maps().map(photo.id, shape_hw), pseudo.cams().map(photo.id, shape_hw)
        pictures = [
            ("photo", image_rgb),
            ("patch map", patch_map),
            ("GradCAM++", cam),
            ("localization", localization(patch_map, cam, pseudo.knobs)),
            ("threshold map", pseudo.threshold_maps().map(photo.id)),
            ("pseudo label", pseudo.label(photo.id)),
            ("CRF label", self.crf().label(photo.id) > 0),
        ]
        return pictures if mask is None else [*pictures, ("full mask", mask)]
