"""The job of a worker that is handed new photos: mask, cracks, overlay and what the report needs, written at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.knobs import DatasetKnobs, MeasuringKnobs, PredictionsKnobs, PredictKnobs
from pipeline.ops.types import ImageRGB, Map, Mask
from tasks.core import files
from tasks.core.workers import Place
from tasks.intake import photo_decoding
from tasks.intake.corrections import Corrections
from tasks.photos import parts
from tasks.photos.georeference import ground_of
from tasks.photos.network import AskedNetwork
from tasks.photos.photo_folder import FoundPhoto
from tasks.photos.results import ResultsFolder

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pipeline.reports.crack_tables import PhotoResult

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """A photo, and the identity of all that may change what is found in it."""

    photo: FoundPhoto
    made_from: str


@dataclass(frozen=True)
class PredictJob:
    network: AskedNetwork
    rules: DatasetKnobs
    predictions: PredictionsKnobs
    measuring: MeasuringKnobs
    knobs: PredictKnobs
    corrections: Corrections
    folder: ResultsFolder

    def open(self, place: Place) -> Callable[[Asked], str]:
        """What it returns is why a photo could not be read; "" for one that was."""
        return self.opened(place, lambda done, total: None, side_by_side=1)

    def opened(self, place: Place, told: Told, *, side_by_side: int) -> Callable[[Asked], str]:
        """With so many tiles of a large photo at once."""
        device = place.torch_device()
        model = self.network.trained.model().to(device)
        if self.knobs.fused:
            from models.parts.fused import Fused

            model = Fused(model)

        def work(asked: Asked) -> str:
            try:
                self._one(asked, model, device, told, side_by_side)
            except photo_decoding.RefusedError as error:
                return str(error)
            return ""

        return work

    def _one(self, asked: Asked, model: nn.Module, device: torch.device, told: Told, side_by_side: int) -> None:
        from pipeline.segmenter_to_predictions import as_probability, predict_lean

        photo = asked.photo
        rules = replace(self.rules, max_pixels=self.knobs.max_pixels)
        image = photo_decoding.load_image(photo.path, rules)
        drawn = self.corrections.mask_of(photo.name, image.shape[:2], rules)
        if drawn is None:
            said = predict_lean(model, image, self.predictions, device=device, told=told, side_by_side=side_by_side)
            probability = as_probability(said)
        else:
            probability = drawn.astype(np.float32)
        result, mask, overlay = self._result(photo, image, probability, corrected=drawn is not None)
        for path in (self.folder.mask(photo.stem), self.folder.overlay(photo.stem)):
            path.parent.mkdir(parents=True, exist_ok=True)
        files.write_png(self.folder.mask(photo.stem), mask)
        files.write_bytes(self.folder.overlay(photo.stem), files.jpeg(overlay, self.knobs.jpeg_quality))
        parts.write(self.folder, photo.stem, asked.made_from, result)

    def _result(
        self, photo: FoundPhoto, image: ImageRGB, probability: Map, *, corrected: bool
    ) -> tuple[PhotoResult, Mask, ImageRGB]:
        from pipeline.drawing.overlays import overlay, shrunk
        from pipeline.ops.doubts import answer_of, doubt_of, why_in_doubt
        from pipeline.ops.filters import to_grey
        from pipeline.prediction_to_cracks import cracks_of
        from pipeline.reports.crack_tables import PhotoResult

        mask, cracks = cracks_of(probability, to_grey(image), self.measuring)
        doubt = 0.0 if corrected else doubt_of(answer_of(probability, self.knobs.doubt_px))
        drawing, ground = overlay(image, cracks), ground_of(photo.path)
        height, width = image.shape[:2]
        result = PhotoResult(
            name=photo.name,
            width=width,
            height=height,
            cracks=tuple(cracks),
            crack_pixels=int(np.count_nonzero(mask)),
            doubt=doubt,
            uncertain=" ".join(filter(None, (why_in_doubt(doubt, cracks), ground.note))),
            corrected=corrected,
            thumbnail=files.jpeg(shrunk(image, self.knobs.shown_px), self.knobs.jpeg_quality),
            georeference=ground.affine,
            crs=ground.crs,
        )
        return result, mask, drawing
