"""Cams: GradCAM++ of the crack class, one small map per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.knobs import CamsKnobs
from pipeline.ops.types import Map
from tasks.classifier import ARCH, Classifier, TrainedClassifier
from tasks.core import files
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.image_stage import IMAGES_OF, ImageStage
from tasks.intake.photo_index import Photo


class Cams(ImageStage[CamsKnobs]):
    """`images_of` is the data set that is looked at, `dataset` the one that the classifier was trained on."""

    arch, images_of = ARCH, IMAGES_OF
    networks = True
    suffix = ".npy"

    def classifier(self) -> Classifier:
        return self.sibling(Classifier, arch=self.arch)

    def upstream(self) -> Mapping[str, AnyStage]:
        return {**super().upstream(), "classifier": self.classifier()}

    def job(self) -> CamJob:
        return CamJob(self.classifier().trained(), self.knobs)

    def maps(self) -> CamMaps:
        return CamMaps(self.entry.folder)


@dataclass(frozen=True)
class CamJob:
    classifier: TrainedClassifier
    knobs: CamsKnobs

    def open(self, place: Place) -> Callable[[Photo], Map]:
        from pipeline.classifier_to_cams import CamMaker

        maker = CamMaker(self.classifier.model(), self.knobs, device=place.torch_device())
        return lambda photo: maker(photo.image())


@dataclass(frozen=True)
class CamMaps:
    """The maps of a finished stage, each enlarged to its image."""

    folder: Path

    def of(self, photo: Photo) -> Map:
        """float32 H×W in [0, 1]."""
        from pipeline.classifier_to_cams import cam_to_image

        return cam_to_image(files.read_array(self.folder / f"{photo.id}.npy"), photo.shape_hw)
