"""Inspect: one PNG with every interim map of one image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.classifier import ARCH, usual_arch
from tasks.core import cache, child, files
from tasks.core.errors import StageError
from tasks.core.parameters import name_of
from tasks.core.question import Question
from tasks.core.settings import outputs_folder
from tasks.core.stage import AnyStage
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset
from tasks.image_stage import TRAIN
from tasks.intake.photo_index import Photo
from tasks.pseudo_labels import PseudoLabels

_COLUMNS = 4


class Inspect(Question):
    """`luigi --module tasks Inspect --dataset demo --image ID` draws image, maps, labels and mask."""

    arch, split = ARCH, TRAIN
    image = name_of("an image id; '' = the first with a crack")
    out = name_of("the PNG to write; '' = outputs/inspect/…")

    def pseudo(self) -> PseudoLabels:
        return self.sibling(PseudoLabels, arch=self.arch or usual_arch(self.experiment), split=self.split)

    def crf(self) -> CrfLabels:
        return self.sibling(CrfLabels, arch=self.arch or usual_arch(self.experiment), split=self.split)

    def requires(self) -> list[AnyStage]:
        return [self.pseudo(), self.crf()]

    def answer(self) -> None:
        child.run_in_child("Inspect", self._draw, time_limit_s=0)

    def photo(self) -> Photo:
        dataset = self.sibling(Dataset)
        if self.image:
            return dataset.photo(self.image, self.split)
        photos = dataset.some_photos(self.split)
        return next((photo for photo in photos if photo.label == 1), photos[0])

    def _draw(self) -> None:
        from pipeline.reports.maps_to_sheet import panel, sheet

        photo = self.photo()
        target = Path(self.out) if self.out else outputs_folder() / "inspect" / f"{self.dataset}-{photo.id}.png"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write_png(
                target, sheet([panel(title, picture) for title, picture in self._pictures(photo)], _COLUMNS)
            )
        except OSError as error:
            raise StageError(cache.say_os_error(error, target)) from error
        print(f"{photo.id}: {target}", flush=True)

    def _pictures(self, photo: Photo) -> Iterator[tuple[str, NDArray[np.generic]]]:
        from pipeline.maps_to_pseudo_labels import localization

        pseudo, mask = self.pseudo(), photo.mask()
        patch_map, cam, dark = pseudo.sources().of(photo)
        yield "photo", photo.image()
        yield "patch map", patch_map
        yield "GradCAM++", cam
        yield "localization", localization(patch_map, cam, pseudo.knobs)
        yield "threshold map", dark
        yield "pseudo label", pseudo.maps().of(photo)
        yield "CRF label", self.crf().maps().of(photo) > 0
        if mask is not None:
            yield "full mask", mask
