"""Tables: what the experiment shows, as CSV, each row with the keys of the stages that made it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from pipeline.knobs import TablesKnobs
from tasks.classifier import Classifier
from tasks.core import parameters
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, StageError, one_of
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage, Stage
from tasks.dataset import Dataset
from tasks.predictions import Predictions
from tasks.refinements import Refinements, final_maps
from tasks.reports import absent, laid_out, seeds
from tasks.scores import THRESHOLD, Scores
from tasks.segmenter import Segmenter, chosen
from tasks.supervision import SUPERVISIONS, TABLED

_ALONE = {"scored": "true", "test_sets": '["self"]', "semi": "[]", "also_train_on": "[]"}  # of a further training set


class Tables(Stage[TablesKnobs]):
    unit = "tables"
    version = 6  # rows name the stages behind merged labels

    def settle(self) -> None:
        _check(self.knobs)
        _check_starts(self)
        if self.sibling(Dataset).knobs.purpose == "testing":
            raise SettingsError(
                f'[Dataset] purpose of {self.dataset} is "testing": nothing is trained on it; name it in [Tables] '
                "test_sets of a data set that is trained on"
            )

    @functools.cached_property
    def knobs(self) -> TablesKnobs:
        """With the names that "all" stands for, so that both ways of writing them have one key; not scored where there
        are no masks to score against."""
        written = self.experiment.resolve(TablesKnobs, parameters.given(self, TablesKnobs))
        segmenters, semi = (chosen(getattr(written, knob), knob) for knob in ("segmenters", "semi"))
        knobs = dataclasses.replace(written, segmenters=segmenters, semi=semi)
        if not knobs.scored or self.sibling(Dataset).source.has_masks():
            return knobs
        left = [name for name in knobs.labels if name not in SUPERVISIONS or not SUPERVISIONS[name].needs_masks]
        return dataclasses.replace(knobs, scored=False, labels=left, also_train_on=[])

    @functools.cached_property
    def missing(self) -> dict[str, str]:
        """Data sets that the settings name and this machine does not have, with what is missing."""
        others = [name for name in (*map(self._target, self.knobs.test_sets), *self._also()) if name]
        datasets = {name: self.experiment.of(name).task(Dataset) for name in others}
        found = absent.absent(datasets, "Tables", self.knobs.absent)
        if not set(self.knobs.test_sets) - set(found):
            told = absent.told(found)
            raise StageError(f"none of the test sets of {self.dataset} is here: {told}; get one, or add self to them")
        return found

    def ahead(self) -> list[str]:
        """What a user should know before anything runs."""
        no_masks = f"{self.dataset} has no masks: labels and predictions are made and listed, nothing is scored"
        return [*([] if self.knobs.scored else [no_masks]), *filter(None, [absent.left_out(self.missing)])]

    def tested_on(self) -> list[str]:
        """Names of those that are here, '' for the data set itself."""
        return list(dict.fromkeys(self._target(name) for name in self.knobs.test_sets if name not in self.missing))

    def others(self) -> list[Tables]:
        """The tables of the further training sets that are here, each tested on its own test images only."""
        return [self.experiment.of(name).task(Tables, **_ALONE) for name in self._also() if name not in self.missing]

    def significant_knobs(self) -> dict[str, object]:
        """Not that no seeds are named: tables that were made before they could be stay valid."""
        return {name: value for name, value in super().significant_knobs().items() if (name, value) != ("seeds", [])}

    def _also(self) -> list[str]:
        return [name for name in self.knobs.also_train_on if name != self.dataset]

    def _target(self, name: str) -> str:
        return "" if name in (self.dataset, "self") else name

    def classifier_stages(self) -> list[Classifier]:
        return [self.sibling(Classifier, arch=arch) for arch in self.knobs.classifiers]

    def label_scores(self) -> list[Scores]:
        """Thresholding alone, and the labels of the training images that somebody made, against their masks."""
        made = [labels for labels in self.knobs.labels if SUPERVISIONS[labels].is_made]
        pairs = [(labels, arch) for arch in ("", *self.knobs.classifiers) for labels in made]
        axes = [(THRESHOLD, ""), *(pair for pair in pairs if bool(pair[1]) == _by_classifier(pair[0]))] if made else []
        return [self.sibling(Scores, labels=labels, arch=arch, split="train") for labels, arch in axes]

    def segmentation_scores(self) -> list[Scores]:
        return [self.sibling(Scores, **axes) for axes in self._trained()]

    def predictions(self) -> list[Predictions | Refinements]:
        return [final_maps(self.experiment, **axes) for axes in self._trained()]

    def _trained(self) -> list[dict[str, str]]:
        """The axes of every trained segmenter on every test set."""
        return [
            {"labels": labels, "segmenter": segmenter, "arch": arch, "target": target}
            for target in self.tested_on()
            for segmenter in dict.fromkeys(self.knobs.segmenters)
            for labels in (*self.knobs.labels, *(["semi"] if segmenter in self.knobs.semi else []))
            for arch in (self.knobs.classifiers if _by_classifier(labels) else [""])
        ]

    def upstream(self) -> Mapping[str, AnyStage]:
        of_seeds = _of_seeds(self)
        if of_seeds:
            return {f"seed {seed} {part.dataset}": part for seed, parts in of_seeds.items() for part in parts}
        scored = self.knobs.scored
        results: list[AnyStage] = [*self.segmentation_scores()] if scored else [*self.predictions()]
        return {
            **{f"classifier {stage.arch}": stage for stage in self.classifier_stages()},
            **(
                {f"labels {stage.labels} {stage.arch}".strip(): stage for stage in self.label_scores()}
                if scored
                else {}
            ),
            **{_role(**axes): stage for axes, stage in zip(self._trained(), results, strict=True)},
            **{f"tables {stage.dataset}": stage for stage in self.others()},
        }

    def make(self, draft: Draft) -> str:
        of_seeds = _of_seeds(self)
        if of_seeds:
            entries = {seed: [part.entry for part in parts] for seed, parts in of_seeds.items()}
            return seeds.write(draft, self.dataset, entries, list(self.missing))
        others = [stage.entry for stage in self.others()]
        write = laid_out.Writer(draft, self.dataset, self.classifier_stages(), others, list(self.missing))
        write.settings(self)
        if not self.knobs.scored:
            return write.unscored(self)
        return write.scored(self.label_scores(), self.segmentation_scores())

    def published(self) -> list[str]:
        """The files to lay out."""
        return sorted(self.entry.manifest()["files"])


def _of_seeds(tables: Tables) -> dict[int, list[Tables]]:
    """Seed → the tables of the data set itself, and of the further training sets; none where no seeds are named."""

    def of(experiment: Experiment, seed: int, **axes: str) -> Tables:
        return seeds.seeded(experiment, seed).task(Tables, **axes)

    others = [other.experiment for other in tables.others()] if tables.knobs.seeds else []
    return {
        seed: [of(tables.experiment, seed), *(of(other, seed, **_ALONE) for other in others)]
        for seed in tables.knobs.seeds
    }


def _by_classifier(labels: str) -> bool:
    return SUPERVISIONS[labels].by_classifier


def _role(segmenter: str, labels: str, arch: str, target: str) -> str:
    return " ".join(filter(None, (segmenter, labels, arch, f"on {target or 'itself'}")))


def _check(knobs: TablesKnobs) -> None:
    for labels in knobs.labels:
        one_of(labels, TABLED, "kind of labels")
    if not (knobs.labels and knobs.segmenters and knobs.test_sets):
        raise SettingsError("[Tables] labels, segmenters and test_sets must each name at least one")
    if not knobs.classifiers and any(map(_by_classifier, knobs.labels)):
        raise SettingsError("[Tables] classifiers is empty, but crf and pseudo labels need one")
    if not knobs.scored and "full" in knobs.labels:
        raise SettingsError('[Tables] labels has "full", but scored = false says that there are no masks')
    if len(set(knobs.seeds)) < len(knobs.seeds):
        raise SettingsError(f"[Tables] seeds = {knobs.seeds}; allowed: each seed once")
    if knobs.seeds and not knobs.scored:
        raise SettingsError("[Tables] seeds are for scores, but scored = false says that there are none")
    if knobs.semi and not knobs.classifiers:
        raise SettingsError("[Tables] semi names segmenters, but classifiers is empty, which make pseudo labels")
    if knobs.also_train_on and not knobs.scored:
        raise SettingsError("[Tables] also_train_on names data sets, but scored = false says there are no tables")


def _check_starts(tables: Tables) -> None:
    """Networks that are compared must have the same first weights, whatever they learn from."""
    taught = [labels for labels in tables.knobs.labels if SUPERVISIONS[labels].of_the_data_set]
    for segmenter in dict.fromkeys(tables.knobs.segmenters):
        stages = {labels: tables.sibling(Segmenter, segmenter=segmenter, labels=labels) for labels in taught}
        starts = {stage.knobs.start: labels for labels, stage in stages.items()}
        if len(starts) > 1:
            told = ", ".join(f"{labels} from {start!r}" for start, labels in starts.items())
            raise SettingsError(
                f"[Segmenter] start of {segmenter} differs between kinds of labels ({told}), which one table would "
                "compare; give all the same, or leave some out of [Tables] labels"
            )
