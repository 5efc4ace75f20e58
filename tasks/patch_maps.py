"""PatchMaps: the classifier's crack probability, window by window, as one small grid per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.knobs import PatchMapsKnobs
from pipeline.ops.types import Map
from tasks.classifier import ARCH, Classifier, TrainedClassifier
from tasks.core import files
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.image_stage import IMAGES_OF, ImageStage
from tasks.intake.photo_index import Photo


class PatchMaps(ImageStage[PatchMapsKnobs]):
    """`images_of` is the data set that is looked at, `dataset` the one that the classifier was trained on."""

    arch, images_of = ARCH, IMAGES_OF
    networks = True
    suffix = ".npy"

    def classifier(self) -> Classifier:
        return self.sibling(Classifier, arch=self.arch)

    def upstream(self) -> Mapping[str, AnyStage]:
        return {**super().upstream(), "classifier": self.classifier()}

    def job(self) -> PatchMapJob:
        return PatchMapJob(self.classifier().trained(), self.knobs)

    def maps(self) -> GridMaps:
        return GridMaps(self.entry.folder, self.knobs)


@dataclass(frozen=True)
class PatchMapJob:
    classifier: TrainedClassifier
    knobs: PatchMapsKnobs

    def open(self, place: Place) -> Callable[[Photo], Map]:
        from pipeline.classifier_to_patch_maps import patch_map

        device = place.torch_device()
        model = self.classifier.model().to(device)
        return lambda photo: patch_map(model, photo.image(), self.knobs, device=device)


@dataclass(frozen=True)
class GridMaps:
    """The grids of a finished stage, each enlarged to its image."""

    folder: Path
    knobs: PatchMapsKnobs

    def of(self, photo: Photo) -> Map:
        """float32 H×W in [0, 1]."""
        from pipeline.classifier_to_patch_maps import patch_map_to_image

        return patch_map_to_image(files.read_array(self.folder / f"{photo.id}.npy"), photo.shape_hw, self.knobs)
