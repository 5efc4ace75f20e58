"""CrfLabels: the rival: the classifier's map refined by a dense CRF, as a binary label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.knobs import CrfLabelsKnobs
from pipeline.ops.types import Grey
from tasks.classifier import ARCH
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.crf_search import CrfSearch, Unaries
from tasks.image_stage import IMAGES_OF
from tasks.intake.photo_index import Photo
from tasks.labels import LabelStage


class CrfLabels(LabelStage[CrfLabelsKnobs]):
    """White for crack."""

    arch, images_of = ARCH, IMAGES_OF

    def search(self) -> CrfSearch:
        """Where the parameters come from; always the training images of the experiment."""
        return self.sibling(CrfSearch, arch=self.arch)

    def upstream(self) -> Mapping[str, AnyStage]:
        maps = self.search().map_stages(split=self.split, images_of=self.images_of)
        return {**super().upstream(), "search": self.search(), **maps}

    def job(self) -> CrfLabelJob:
        search = self.search()
        return CrfLabelJob(search.unaries(split=self.split, images_of=self.images_of), search.best())

    def masks_used(self) -> int:
        return self.search().masks_used()


@dataclass(frozen=True)
class CrfLabelJob:
    unaries: Unaries
    parameters: Mapping[str, float]

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        from pipeline.cams_to_crf_labels import crf_label

        def label(photo: Photo) -> Grey:
            return crf_label(photo.image(), self.unaries.of(photo), self.parameters, self.unaries.knobs)

        return label
