"""Segmenter: a network trained on full masks, CRF labels, or pseudo labels (semi: those of the test images too)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import luigi
import numpy as np
from numpy.typing import NDArray

import models
from tasks.core import files, settings
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, StageError, nearest
from tasks.core.stage import Choice, Experiment, Stage, one_of
from tasks.core.trained_stage import TrainedStage
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset, Photo, target_of
from tasks.edge_maps import EdgeMaps, image_of
from tasks.labels import LabelStage
from tasks.pseudo_labels import PseudoLabels

LABELS = ("full", "crf", "pseudo", "semi")  # semi: pseudo labels of the test images as well
ALL = "all"  # in [Tables] segmenters and semi


def label_stage(stage: Experiment, labels: str, arch: str, split: str) -> LabelStage:
    """The stage that makes labels of that kind; none makes full masks."""
    kinds: dict[str, type[LabelStage]] = {"crf": CrfLabels, "pseudo": PseudoLabels}
    one_of(labels, kinds, "kind of made labels")
    return stage.sibling(kinds[labels], arch=arch, split=split)


def full_label(photo: Photo) -> NDArray[np.uint8]:
    """The mask as a target; only for photos that have one."""
    mask = photo.mask()
    if mask is None:
        raise StageError(f"{photo.image_path} has no mask")
    return mask.astype(np.uint8) * np.uint8(255)


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


class Segmenter(TrainedStage):
    """`arch` is the classifier behind the labels; full masks need none, and then it is ''."""

    segmenter = Choice(models.SEGMENTERS, "segmenter")
    labels = Choice(LABELS, "kind of labels")
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    added = luigi.Parameter(default="", positional=False, description="semi: whose test images; '' = of this data set")
    axis_names = ("segmenter", "labels")
    unit = "crops"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.labels == "full" and self.arch:
            raise SettingsError(f"full masks need no classifier; leave out arch = {self.arch!r}")
        if self.added and self.labels != "semi":
            raise SettingsError(f"added = {self.added!r}; allowed: '' with labels = {self.labels}, a name with semi")

    @functools.cached_property
    def axes(self) -> dict[str, str]:
        named = {name: str(getattr(self, name)) for name in self.axis_names}
        return {**named, "added": self.added or self.dataset} if self.labels == "semi" else named

    @functools.cached_property
    def knobs(self) -> Any:
        """What decides the training of this segmenter; the tables of others have no part in it."""
        try:
            mine = self.resolved(self.stage(), self).of(self.segmenter)
            wanted = models.segmenter_options(self.segmenter)
        except ValueError as error:
            raise SettingsError(f"[Segmenter] of {self.dataset}: {error}") from error
        self._check_options({"pixels", *mine.options[self.segmenter]}, wanted)
        return mine

    def _check_options(self, given: set[str], wanted: tuple[str, ...]) -> None:
        """Told while planning: the network itself is built hours later."""
        table = f"[Segmenter.options.{self.segmenter}]"
        for name in sorted(given - set(wanted)):
            raise SettingsError(f"{table} {name}: the network has no such option; {nearest(name, wanted)}")
        missing = [name for name in wanted if name not in given]
        if missing:
            recipe = settings.recipe_name(self.dataset, self.recipe)
            raise SettingsError(
                f"segmenter {self.segmenter!r} has no {' and no '.join(missing)}; write {table} "
                f"{missing[0]} = … into configs/{self.dataset}.toml or configs/recipes/{recipe}.toml"
            )

    def fingerprint(self) -> str:
        """The content of an encoder's weights counts, not the name of their file."""
        path = self._encoder_path()
        return files.sha256(path) if path else ""

    def upstream(self) -> Mapping[str, Stage]:
        stages = {"dataset": self.sibling(Dataset), **self._edge_maps()}
        if self.labels == "full":
            return stages
        if self.labels != "semi":
            return {**stages, "labels": label_stage(self, self.labels, self.arch, "train")}
        added = {"added_dataset": target_of(self, self.added), "added": self.added_labels()}
        return {**stages, "labels": label_stage(self, "pseudo", self.arch, "train"), **added}

    def edge_maps(self, split: str, images_of: str = "") -> EdgeMaps | None:
        """The edges of the images of a split, if the network takes them."""
        if not models.takes_edges(self.network_options()):
            return None
        return self.sibling(EdgeMaps, split=split, images_of="" if images_of == self.dataset else images_of)

    def _edge_maps(self) -> dict[str, Stage]:
        """Those of the images that are trained on, by the part that they play."""
        found = {"edge_maps": self.edge_maps("train")}
        found |= {"added_edge_maps": self.edge_maps("test", self.added)} if self.labels == "semi" else {}
        return {name: stage for name, stage in found.items() if stage}

    def added_labels(self) -> PseudoLabels:
        """Pseudo labels of the test images that a semi-supervised training adds."""
        others = "" if self.added == self.dataset else self.added
        return self.sibling(PseudoLabels, arch=self.arch, split="test", images_of=others)

    def make(self, draft: Draft) -> str:
        from pipeline.labels_to_segmenter import train_segmenter

        device = self.device(self.execution.threads)
        photos, load_label = self._examples()
        with (
            self.decoded(draft, "images", lambda index: self._image(photos[index]), len(photos)) as images,
            self.decoded(draft, "labels", load_label, len(photos)) as targets,
        ):
            model = self._build()
            log = self.train(
                draft,
                model,
                lambda resume, progress: train_segmenter(
                    model,
                    images,
                    targets,
                    self.knobs,
                    sides=self.side_weights(),
                    device=device,
                    resume=resume,
                    progress=progress,
                ),
            )
        return f"{len(photos)} images, training loss {log[-1]['loss']:.4f}"

    def _examples(self) -> tuple[list[Photo], Callable[[int], NDArray[np.uint8]]]:
        """The photos with a usable label, and what loads the label of the n-th, uint8 0 … 255."""
        if self.labels == "full":
            chosen = [photo for photo in self.sibling(Dataset).photos("train") if photo.mask_path is not None]
            self._refuse_nothing(chosen)
            return chosen, lambda index: full_label(chosen[index])
        stages = [label_stage(self, "crf" if self.labels == "crf" else "pseudo", self.arch, "train")]
        stages += [self.added_labels()] if self.labels == "semi" else []
        pairs: list[tuple[LabelStage, Photo]] = []
        for stage in stages:
            kept = stage.kept()
            pairs += [(stage, photo) for photo in stage.photos() if kept[photo.id]]
        self._refuse_nothing(pairs)
        return [photo for _, photo in pairs], lambda index: pairs[index][0].label(pairs[index][1].id)

    def _image(self, photo: Photo) -> NDArray[np.uint8]:
        """uint8 H×W×3, ×4 with edges; only images that a semi-supervised training adds are of a test split."""
        return image_of(photo, self.edge_maps(photo.split, self.added if photo.split == "test" else ""))

    def _refuse_nothing(self, chosen: list[Any]) -> None:
        if not chosen:
            raise StageError(
                f"no {self.labels} label of {self.dataset} is fit for training; "
                "look at them with Inspect, or lower min_crack_pixels"
            )

    def network_options(self) -> dict[str, Any]:
        """What the network is built with, all but a file with the encoder's weights."""
        return {"pixels": self.knobs.pixels, **self.knobs.options[self.segmenter]}

    def side_weights(self) -> list[float]:
        return list(self.knobs.sides[self.segmenter].get("weights", []))

    def _build(self, *, trained: bool = False) -> Any:
        import torch

        options, path = self.network_options(), self._encoder_path()
        if trained and "encoder" in options:
            options["encoder"] = "none"
        elif path:
            options["encoder"] = files.read_weights(path)
        torch.manual_seed(self.knobs.seed)
        return models.build_segmenter(self.segmenter, **options)

    def _encoder_path(self) -> Path | None:
        encoder = self.network_options().get("encoder", "none")
        if encoder in ("none", "imagenet"):
            return None
        path = settings.ROOT / Path(encoder).expanduser()
        if not path.is_file():
            raise SettingsError(
                f"[Segmenter.options.{self.segmenter}] encoder: there is no file {path}; "
                'allowed: "none", "imagenet" or a path'
            )
        return path

    def model(self) -> Any:
        """The trained segmenter."""
        return self.load_into(self._build(trained=True))
