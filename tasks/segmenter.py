"""Segmenter: a network trained on one kind of labels (see `tasks.supervision`)."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import models
from pipeline.knobs import SegmenterKnobs, check, fields
from pipeline.knobs.ranges import nearest
from tasks.classifier import ARCH
from tasks.core import files, parameters
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, StageError, one_of
from tasks.core.pixel_file import Chosen, Pixels
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage
from tasks.core.trained_stage import TrainedStage, start_weights
from tasks.core.workers import place_of
from tasks.dataset import Dataset
from tasks.edge_maps import EdgeMaps, InputPixels
from tasks.intake.photo_index import Photo
from tasks.labels import LabelMaps, MaskPixels, kept
from tasks.supervision import LABELS, SUPERVISIONS, LabelStage, Supervision

if TYPE_CHECKING:
    from torch import nn

ALL = "all"  # in [Tables] segmenters and semi
SEGMENTER = parameters.Choice(models.SEGMENTERS, "segmenter")


def chosen(names: list[str], knob: str, section: str = "Tables") -> list[str]:
    """The segmenters that a knob of a table names; "all" alone is every one, in the order of `models`."""
    for name in names:
        one_of(name, (*models.SEGMENTERS, ALL), "segmenter")
    if ALL not in names:
        return names
    others = [name for name in names if name != ALL]
    if others:
        told = f'[{section}] {knob} names {", ".join(others)} beside "all"'
        raise SettingsError(f'{told}; allowed: ["all"], or names alone')
    return list(models.SEGMENTERS)


def options_of(segmenter: str, table: Mapping[str, object], experiment: Experiment) -> models.Options:
    """The options of a network, names and values checked while planning: the network itself is built hours later."""
    where = f"[Segmenter.options.{segmenter}]"
    try:
        schema = models.options_class(segmenter)
    except ValueError as error:
        raise SettingsError(str(error)) from error
    wanted = fields(schema)
    for name in sorted(table.keys() - wanted):
        raise SettingsError(f"{where} {name}: the network has no such option; {nearest(name, wanted)}")
    missing = [name for name in wanted if name not in table]
    if missing:
        raise SettingsError(
            f"segmenter {segmenter!r} has no {' and no '.join(missing)}; write {where} {missing[0]} = … into "
            f"configs/{experiment.dataset}.toml or configs/recipes/{experiment.recipe_name()}.toml"
        )
    values = {}
    for name, kind in wanted.items():
        try:
            values[name] = check(kind, table[name])
        except ValueError as error:
            raise SettingsError(f"{where} {name} = {error}") from None
    try:
        return schema(**values)
    except ValueError as error:
        raise SettingsError(f"{where} {error}") from None


class Segmenter(TrainedStage[SegmenterKnobs]):
    """`arch` is the classifier behind the labels; full masks need none, and then it is ''."""

    segmenter, labels, arch = SEGMENTER, LABELS, ARCH
    added = parameters.name_of("semi: whose test images; '' = of this data set")
    axis_names = ("segmenter", "labels")
    unit = "crops"

    def settle(self) -> None:
        if self.arch and not self.supervision.needs_classifier:
            raise SettingsError(f"{self.labels} masks need no classifier; leave out arch = {self.arch!r}")
        if self.added and not self.supervision.adds_test_images:
            raise SettingsError(f"added = {self.added!r}; allowed: '' with labels = {self.labels}, a name with semi")

    @property
    def supervision(self) -> Supervision:
        return SUPERVISIONS[self.labels]

    @functools.cached_property
    def axes(self) -> dict[str, str]:
        named = {name: str(getattr(self, name)) for name in self.axis_names}
        return {**named, "added": self.added or self.dataset} if self.supervision.adds_test_images else named

    @functools.cached_property
    def knobs(self) -> SegmenterKnobs:
        """What decides the training of this segmenter; the tables of others have no part in it."""
        written = self.experiment.resolve(SegmenterKnobs, parameters.given(self, SegmenterKnobs))
        try:
            mine = written.of(self.segmenter)
        except ValueError as error:
            raise SettingsError(f"[Segmenter] of {self.dataset}: {error}") from error
        options = options_of(self.segmenter, mine.options[self.segmenter], self.experiment)
        return dataclasses.replace(mine, options={self.segmenter: dataclasses.asdict(options)})

    @functools.cached_property
    def network_options(self) -> models.Options:
        """What the network is built with."""
        return options_of(self.segmenter, self.knobs.options[self.segmenter], self.experiment)

    def side_weights(self) -> list[float]:
        return list(self.knobs.sides[self.segmenter].get("weights", []))

    def _encoder_file(self) -> Path | None:
        encoder = getattr(self.network_options, "encoder", "none")
        return start_weights(encoder, f"[Segmenter.options.{self.segmenter}] encoder")

    def fingerprint(self) -> str:
        """The content of an encoder's weights counts, not the name of their file."""
        path = self._encoder_file()
        return files.sha256(path) if path else ""

    @functools.cached_property
    def lessons(self) -> list[Lesson]:
        """What is learned; a semi-supervised training adds the test images of `added`."""
        splits = {"train": "", "test": self.added} if self.supervision.adds_test_images else {"train": ""}
        return [self._lesson(split, whose) for split, whose in splits.items()]

    def _lesson(self, split: str, whose: str) -> Lesson:
        images_of, labels = "" if whose == self.dataset else whose, None
        if self.supervision.needs_classifier:
            labels = self.supervision.labels(self.experiment, arch=self.arch, split=split, images_of=images_of)
        return Lesson(self.experiment.of(images_of).task(Dataset), split, labels, self.edge_maps(split, images_of))

    def edge_maps(self, split: str, target: str = "") -> EdgeMaps | None:
        """The edges of the images of a split, if the network takes them."""
        if not models.takes_edges(self.network_options):
            return None
        return self.sibling(EdgeMaps, split=split, images_of="" if target == self.dataset else target)

    def upstream(self) -> Mapping[str, AnyStage]:
        names = {"train": ("dataset", "labels", "edge_maps"), "test": ("added_dataset", "added", "added_edge_maps")}
        stages = [(names[each.split], (each.dataset, each.labels, each.edges)) for each in self.lessons]
        return {role: stage for roles, parts in stages for role, stage in zip(roles, parts, strict=True) if stage}

    def make(self, draft: Draft) -> str:
        from pipeline.labels_to_segmenter import train_segmenter

        device = place_of(self.execution).enter().torch_device()
        with contextlib.ExitStack() as stack:
            images, targets = self._examples(stack)
            model = self._first_model()
            train = partial(
                train_segmenter, model, images, targets, self.knobs, sides=self.side_weights(), device=device
            )
            last = self.train(draft, model, train)
            return f"{len(images)} images, training loss {last['loss']:.4f}"

    def _examples(self, stack: contextlib.ExitStack) -> tuple[Chosen, Chosen]:
        """The photos with a usable label, and their labels, uint8 0 … 255."""
        images, labels, shown, meant = list[Pixels](), list[Pixels](), list[tuple[int, int]](), list[tuple[int, int]]()
        for number, lesson in enumerate(self.lessons):
            photos = lesson.photos()
            fit = [place for place, photo in enumerate(photos) if lesson.is_fit(photo)]
            images.append(stack.enter_context(self.decoded(*lesson.shown(), photos)))
            labels.append(stack.enter_context(self.decoded(*lesson.meant(), [photos[place] for place in fit])))
            shown += [(number, place) for place in fit]
            meant += [(number, place) for place in range(len(fit))]
        if not shown:
            raise StageError(
                f"no {self.labels} label of {self.dataset} is fit for training; "
                "look at them with Inspect, or lower min_crack_pixels"
            )
        return Chosen(images, shown), Chosen(labels, meant)

    def _first_model(self) -> nn.Module:
        import torch

        path = self._encoder_file()
        torch.manual_seed(self.knobs.seed)
        weights = files.read_weights(path) if path else None
        return models.build_segmenter(self.segmenter, self.network_options, pixels=self.knobs.pixels, weights=weights)

    def trained(self) -> TrainedSegmenter:
        return TrainedSegmenter(self.segmenter, self.network_options, self.knobs.pixels, self.checked_weights())


@dataclass(frozen=True)
class Lesson:
    """Images of one split, what is taught of them, and the edges that go with them."""

    dataset: Dataset
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


@dataclass(frozen=True)
class TrainedSegmenter:
    """All that is needed to load it."""

    segmenter: str
    options: models.Options
    pixels: str
    weights: Path

    def model(self) -> nn.Module:
        """Ready to predict."""
        plain = {"encoder": "none"} if hasattr(self.options, "encoder") else {}
        options = dataclasses.replace(self.options, **plain)
        model = models.build_segmenter(self.segmenter, options, pixels=self.pixels)
        model.load_state_dict(files.read_weights(self.weights))
        return model.eval()
