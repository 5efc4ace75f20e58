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
from tasks.core.course import WEIGHTS, Epochs
from tasks.core.errors import SettingsError, StageError, one_of
from tasks.core.settings import Experiment
from tasks.core.shipped import starter
from tasks.core.stage import AnyStage
from tasks.core.trained_stage import TrainedStage, start_weights
from tasks.core.workers import place_of
from tasks.edge_maps import EdgeMaps
from tasks.generated import Generated
from tasks.lesson import Answers, Lesson, answers, examples, lesson, roles
from tasks.supervision import LABELS, SUPERVISIONS, Supervision

if TYPE_CHECKING:
    import torch
    from torch import nn

# What came later than the first keys, with the value that means what was before.
FOR_ANSWERS: dict[str, object] = {"pool": "top", "pool_px": 1, "bag_weight": 0.0, "rehearsal": 0.0}
KNOBS_ADDED: dict[str, object] = {"start": "none", "by_labels": {}, **FOR_ANSWERS}
OPTIONS_ADDED: dict[tuple[str, str], object] = {
    ("scnet", "encoder"): "none",
    ("scnet", "norm"): "instance",
    ("scnet", "pool"): "max",
    ("scnet", "init"): "xavier",
    ("pspnet", "pyramid"): [1, 2, 3, 6],
}
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


_LOOK = "look at them with Inspect, or lower min_crack_pixels"


def resolved(
    written: SegmenterKnobs, segmenter: str, supervision: Supervision, experiment: Experiment
) -> SegmenterKnobs:
    """What decides the training of this segmenter; the tables of others have no part in it."""
    if supervision.shipped:
        written = dataclasses.replace(written, pixels=starter().pixels, options={segmenter: starter().options})
    for name in written.by_labels:
        one_of(name.split(" ")[0], SUPERVISIONS, "kind of labels in [Segmenter.by_labels]")
    try:
        mine = written.of(segmenter, supervision.name)
    except ValueError as error:
        raise SettingsError(f"[Segmenter] of {experiment.dataset}: {error}") from error
    options = options_of(segmenter, mine.options[segmenter], experiment)
    start = mine.start if supervision.of_the_data_set else "none"
    known = {"start": start, **({} if supervision.by_answers else FOR_ANSWERS)}
    return dataclasses.replace(mine, **known, options={segmenter: dataclasses.asdict(options)})  # type: ignore[arg-type]


def told(segmenter: str, knobs: Mapping[str, object]) -> dict[str, object]:
    """Without those that came later, where they say what was before: keys and trainings stay valid."""
    options = knobs["options"]
    assert isinstance(options, dict)
    mine = {name: it for name, it in options[segmenter].items() if OPTIONS_ADDED.get((segmenter, name)) != it}
    return {name: it for name, it in {**knobs, "options": {segmenter: mine}}.items() if KNOBS_ADDED.get(name) != it}


def encoder_file(stage: Segmenter) -> Path | None:
    """The file of an encoder's first weights, if they are in one."""
    options, pixels = stage.network_options, stage.knobs.pixels
    encoder, knob = getattr(options, "encoder", "none"), f"[Segmenter.options.{stage.segmenter}] encoder"
    if encoder == "hed" and pixels != "caffe":
        raise SettingsError(f'{knob} = "hed" wants [Segmenter] pixels = "caffe", not {pixels!r}')
    return start_weights(encoder, knob, models.published_weights(options))


class Segmenter(TrainedStage[SegmenterKnobs]):
    """`arch` is the classifier behind the labels; full masks need none, and then it is ''."""

    segmenter, labels, arch = SEGMENTER, LABELS, ARCH
    added = parameters.name_of("semi: whose test images; '' = of this data set")
    axis_names = ("segmenter", "labels")
    own_job = True
    unit = "crops"

    def settle(self) -> None:
        if self.arch and not self.supervision.by_classifier:
            raise SettingsError(f"{self.labels} masks need no classifier; leave out arch = {self.arch!r}")
        if self.supervision.shipped and self.segmenter != starter().segmenter:
            raise SettingsError(f"labels = {self.labels} is the network {starter().segmenter}, not {self.segmenter!r}")
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
        written = self.experiment.resolve(SegmenterKnobs, parameters.given(self, SegmenterKnobs))
        return resolved(written, self.segmenter, self.supervision, self.experiment)

    def significant_knobs(self) -> dict[str, object]:
        """Not those that came later, where they say what was before: keys and trainings stay valid."""
        known = told(self.segmenter, super().significant_knobs())
        return {} if self.supervision.shipped else known  # of the shipped one its file's content counts

    def owner(self) -> str:
        return self.dataset if self.supervision.of_the_data_set else self.labels

    def first(self) -> Segmenter | None:
        """The training whose weights this one starts from."""
        if self.knobs.start == "none":
            return None
        if self.knobs.start == "starter" and self.knobs.options[self.segmenter] != starter().options:
            told = f"[Segmenter.options.{self.segmenter}] = {self.knobs.options[self.segmenter]}"
            raise SettingsError(f'{told} with start = "starter"; allowed: those of the starter, {starter().options}')
        return self.sibling(Segmenter, segmenter=self.segmenter, labels=self.knobs.start)

    @functools.cached_property
    def network_options(self) -> models.Options:
        """What the network is built with."""
        return options_of(self.segmenter, self.knobs.options[self.segmenter], self.experiment)

    def fingerprint(self) -> str:
        """The content of first weights counts, not the name of their file."""
        path = starter().path if self.supervision.shipped else encoder_file(self)
        return files.sha256(path) if path else ""

    @functools.cached_property
    def lessons(self) -> list[Lesson]:
        """What is learned; a semi-supervised training adds the test images of `added`."""
        if self.supervision.shipped or self.supervision.by_answers:
            return []
        if not self.supervision.of_the_data_set:
            if models.takes_edges(self.network_options):
                raise SettingsError(
                    f'{self.segmenter} with edges = "input" cannot learn from generated photos; say "sobel"'
                )
            return [Lesson(self.sibling(Generated), "train", None, None)]
        names = {"train": "", "test": "" if self.added == self.dataset else self.added}
        splits = names if self.supervision.adds_test_images else {"train": ""}
        edges = {split: self.edge_maps(split, whose) for split, whose in splits.items()}
        return [
            lesson(self.experiment, self.supervision, self.arch, split, whose, edges[split])
            for split, whose in splits.items()
        ]

    @functools.cached_property
    def answers(self) -> Answers | None:
        """What is learned instead, where no pixel has a label."""
        if not self.supervision.by_answers:
            return None
        return answers(self.experiment, rehearsed=self.knobs.rehearsal > 0)

    def edge_maps(self, split: str, target: str = "") -> EdgeMaps | None:
        """The edges of the images of a split, if the network takes them."""
        if not models.takes_edges(self.network_options):
            return None
        return self.sibling(EdgeMaps, split=split, images_of="" if target == self.dataset else target)

    def upstream(self) -> Mapping[str, AnyStage]:
        first = self.first()
        read = self.answers.roles() if self.answers else roles(self.lessons)
        return {**read, **({"start": first} if first else {})}

    def make(self, draft: Draft) -> str:
        if self.supervision.shipped:
            files.write_weights(draft.path(WEIGHTS), files.read_weights(starter().path))
            return "the weights that come with the project"
        device = place_of(self.execution).enter().torch_device()
        with contextlib.ExitStack() as stack:
            model = self.first_model()
            told, epochs = (_taught_by_answers if self.answers else _taught_by_labels)(self, model, device, stack)
            return f"{told}, training loss {self.train(draft, model, epochs)['loss']:.4f}"

    def first_model(self) -> nn.Module:
        import torch

        torch.manual_seed(self.knobs.seed)
        first = self.first()
        if first:
            return first.trained().model().train()
        path = encoder_file(self)
        weights = files.read_weights(path) if path else None
        return models.build_segmenter(self.segmenter, self.network_options, pixels=self.knobs.pixels, weights=weights)

    def trained(self) -> TrainedSegmenter:
        return TrainedSegmenter(self.segmenter, self.network_options, self.knobs.pixels, self.checked_weights())


def _taught_by_labels(
    stage: Segmenter, model: nn.Module, device: torch.device, stack: contextlib.ExitStack
) -> tuple[str, Epochs]:
    from pipeline.labels_to_segmenter import train_segmenter

    images, targets = examples(stage.lessons, stage.decoded, stack)
    if not images:
        raise StageError(f"no {stage.labels} label of {stage.dataset} is fit for training; {_LOOK}")
    sides = stage.knobs.sides[stage.segmenter].get("weights", [])
    train = partial(train_segmenter, model, images, targets, stage.knobs, sides=sides, device=device)
    return f"{len(images)} images", train


def _taught_by_answers(
    stage: Segmenter, model: nn.Module, device: torch.device, stack: contextlib.ExitStack
) -> tuple[str, Epochs]:
    from pipeline.answers_to_segmenter import train_on_answers

    assert stage.answers
    rows, patch_px = stage.answers.patches.rows("train"), stage.answers.patches.side_px()
    images, exact = stage.answers.images(stage.decoded, stack), stage.answers.exact(stage.decoded, stack)
    train = partial(train_on_answers, model, images, rows, exact, stage.knobs, patch_px=patch_px, device=device)
    return f"{len(rows):,} answers", train


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
