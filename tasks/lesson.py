"""Lesson: images of one split, what a network is taught of them, and the edges that go with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from tasks.core.pixel_file import Chosen, Pixels
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage
from tasks.dataset import Dataset
from tasks.edge_maps import EdgeMaps, InputPixels
from tasks.generated import Generated
from tasks.intake.photo_index import Photo, PhotoPixels
from tasks.labels import LabelMaps, MaskPixels, kept
from tasks.patches import Patches
from tasks.supervision import Labels, Supervision

Decoded = Callable[..., AbstractContextManager[Pixels]]


@dataclass(frozen=True)
class Lesson:
    dataset: Dataset | Generated
    split: str
    labels: Labels | None  # None: the masks
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


@dataclass(frozen=True)
class Answers:
    """Yes or no for patches of the training images, and generated photos that are rehearsed beside them."""

    dataset: Dataset
    patches: Patches
    generated: Generated | None

    def roles(self) -> dict[str, AnyStage]:
        read: dict[str, AnyStage] = {"dataset": self.dataset, "patches": self.patches}
        return {**read, **({"generated": self.generated} if self.generated else {})}

    def images(self, decoded: Decoded, stack: ExitStack) -> Pixels:
        return stack.enter_context(decoded(self.dataset, "images-train", PhotoPixels(), self.dataset.photos("train")))

    def exact(self, decoded: Decoded, stack: ExitStack) -> tuple[Chosen, Chosen]:
        """The photos that are rehearsed, with their masks."""
        lessons = [Lesson(self.generated, "train", None, None)] if self.generated else []
        return examples(lessons, decoded, stack)


def answers(experiment: Experiment, *, rehearsed: bool) -> Answers:
    generated = experiment.task(Generated) if rehearsed else None
    return Answers(experiment.task(Dataset), experiment.task(Patches), generated)


def roles(lessons: Sequence[Lesson]) -> Mapping[str, AnyStage]:
    """What is read for lessons, the test images' apart."""
    names = {"train": ("dataset", "labels", "edge_maps"), "test": ("added_dataset", "added", "added_edge_maps")}
    stages = [(names[each.split], (each.dataset, each.labels, each.edges)) for each in lessons]
    return {role: stage for named, parts in stages for role, stage in zip(named, parts, strict=True) if stage}


def lesson(
    experiment: Experiment, supervision: Supervision, arch: str, split: str, images_of: str, edges: EdgeMaps | None
) -> Lesson:
    """Of the images of a data set, '' for its own."""
    labels = None
    if supervision.is_made:
        labels = supervision.labels(experiment, arch=arch, split=split, images_of=images_of)
    return Lesson(experiment.of(images_of).task(Dataset), split, labels, edges)


def examples(lessons: Sequence[Lesson], decoded: Decoded, stack: ExitStack) -> tuple[Chosen, Chosen]:
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
