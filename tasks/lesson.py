"""Lesson: images of one split, what a network is taught of them, and the edges that go with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from tasks.core.pixel_file import Chosen, Pixels
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage
from tasks.dataset import Dataset
from tasks.edge_maps import EdgeMaps, InputPixels
from tasks.generated import Generated
from tasks.intake.photo_index import Photo
from tasks.labels import LabelMaps, MaskPixels, kept
from tasks.supervision import LabelStage, Supervision


@dataclass(frozen=True)
class Lesson:
    dataset: Dataset | Generated
    split: str
    labels: LabelStage | None  # None: the masks
    edges: EdgeMaps | None

    def photos(self) -> tuple[Photo, ...]:
        return self.dataset.photos(self.split)

    @functools.cached_property
    def _kept(self) -> dict[str, bool]:
        return kept(self.labels.entry) if self.labels else {}

    def is_fit(self, photo: Photo) -> bool:
        """Whether it has a usable label."""
        return self._kept[photo.id] if self.labels else photo.mask_path is not None

    def shown(self) -> tuple[AnyStage, str, InputPixels]:
        """Whose entry shows the images, under which name they are kept, and how they are decoded."""
        return (
            self.edges or self.dataset,
            f"images-{self.split}",
            InputPixels(self.edges.maps() if self.edges else None),
        )

    def meant(self) -> tuple[AnyStage, str, LabelMaps | MaskPixels]:
        """The same of their labels."""
        if self.labels is None:
            return self.dataset, f"masks-{self.split}", MaskPixels()
        return self.labels, "labels", self.labels.maps()


def lesson(
    experiment: Experiment, supervision: Supervision, arch: str, split: str, images_of: str, edges: EdgeMaps | None
) -> Lesson:
    """Of the images of a data set, '' for its own."""
    labels = None
    if supervision.needs_classifier:
        labels = supervision.labels(experiment, arch=arch, split=split, images_of=images_of)
    return Lesson(experiment.of(images_of).task(Dataset), split, labels, edges)


def examples(
    lessons: Sequence[Lesson], decoded: Callable[..., AbstractContextManager[Pixels]], stack: ExitStack
) -> tuple[Chosen, Chosen]:
    """The photos with a usable label, and their labels, uint8 0 … 255, open as long as the stack is."""
    images, labels, shown, meant = list[Pixels](), list[Pixels](), list[tuple[int, int]](), list[tuple[int, int]]()
    for number, lesson in enumerate(lessons):
        photos = lesson.photos()
        fit = [place for place, photo in enumerate(photos) if lesson.is_fit(photo)]
        images.append(stack.enter_context(decoded(*lesson.shown(), photos)))
        labels.append(stack.enter_context(decoded(*lesson.meant(), [photos[place] for place in fit])))
        shown += [(number, place) for place in fit]
        meant += [(number, place) for place in range(len(fit))]
    return Chosen(images, shown), Chosen(labels, meant)
