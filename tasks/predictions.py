"""Predictions: a trained segmenter's probability maps for the test images of any data set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.knobs import PredictionsKnobs
from pipeline.layouts.on_disk import SPLITS
from pipeline.ops.types import Map, Pixels
from tasks.classifier import ARCH
from tasks.core import files, parameters
from tasks.core.errors import SettingsError
from tasks.core.parameters import Choice, name_of
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.edge_maps import EdgeMaps, InputPixels
from tasks.image_stage import ImageStage
from tasks.intake.photo_index import Photo
from tasks.segmenter import SEGMENTER, Segmenter, TrainedSegmenter
from tasks.supervision import LABELS, SUPERVISIONS

TARGET = name_of("the data set that is segmented; '' = the one trained on")
TEST = Choice(SPLITS, "split", default="test")
# four: the mean of the answers to the photo and its three mirror images
FLIPS = Choice(("four",), "way of asking", default="")


class Predictions(ImageStage[PredictionsKnobs]):
    """`target` is the data set that is segmented, `dataset` the one that was trained on."""

    segmenter, labels, arch, target, split, flips = SEGMENTER, LABELS, ARCH, TARGET, TEST, FLIPS
    images_axis = "target"
    networks = True

    @functools.cached_property
    def axes(self) -> dict[str, str]:
        return {"split": self.split, **({"flips": self.flips} if self.flips else {})}

    def significant_knobs(self) -> dict[str, object]:
        """Not that there are no further scales: what was made before there could be stays valid."""
        return {name: value for name, value in super().significant_knobs().items() if (name, value) != ("scales", [])}

    def segmenter_stage(self) -> Segmenter:
        adds = SUPERVISIONS[self.labels].adds_test_images and self.target != self.dataset
        axes = {"segmenter": self.segmenter, "labels": self.labels, "arch": self.arch}
        return self.sibling(Segmenter, **axes, added=self.target if adds else "")

    def edge_maps(self) -> EdgeMaps | None:
        """The edges of the images, if the segmenter takes them."""
        return self.segmenter_stage().edge_maps(self.split, self.target)

    def upstream(self) -> Mapping[str, AnyStage]:
        edges = self.edge_maps()
        stages = {"segmenter": self.segmenter_stage(), "target": self.target_dataset()}
        return {**stages, **({"edge_maps": edges} if edges else {})}

    def job(self) -> PredictionJob:
        edges = self.edge_maps()
        inputs = InputPixels(edges.maps() if edges else None)
        return PredictionJob(self.segmenter_stage().trained(), inputs, self.knobs, flips=bool(self.flips))

    def maps(self) -> WholeNumberMaps:
        return WholeNumberMaps(self.entry.folder)


def for_new_photos(experiment: Experiment) -> PredictionsKnobs:
    """Of the settings and the command line; new photos are asked about at their own size."""
    knobs = experiment.resolve(PredictionsKnobs, parameters.told(Predictions, PredictionsKnobs))
    if knobs.scale != 1 or knobs.scales:
        raise SettingsError(
            f"[Predictions] scale = {knobs.scale:g}, scales = {knobs.scales}; new photos are asked about at their own "
            'size: add --Predictions-scale 1 --Predictions-scales "[]"'
        )
    return knobs


@dataclass(frozen=True)
class PredictionJob:
    segmenter: TrainedSegmenter
    inputs: InputPixels
    knobs: PredictionsKnobs
    flips: bool

    def open(self, place: Place) -> Callable[[Photo], Pixels]:
        from pipeline.segmenter_to_predictions import predict

        device, image_of = place.torch_device(), self.inputs.open(place)
        model = self.segmenter.model().to(device)
        return lambda photo: predict(model, image_of(photo), self.knobs, device=device, flips=self.flips)


@dataclass(frozen=True)
class WholeNumberMaps:
    """The maps of a finished stage, whose whole numbers stand for probabilities."""

    folder: Path

    def of(self, photo: Photo) -> Pixels:
        """uint8 or uint16 H×W."""
        return files.read_png(self.folder / f"{photo.id}.png")

    def probability(self, photo: Photo) -> Map:
        """float32 H×W in [0, 1]."""
        from pipeline.segmenter_to_predictions import as_probability

        return as_probability(self.of(photo))
