"""LabelTables: the paper's Tables II and VII, the diagnosis, and what merging is worth, from cached stages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import get_args

from pipeline.knobs import LabelTablesKnobs, MergeRule
from tasks.core import files
from tasks.core.errors import SettingsError, one_of
from tasks.core.files import Row
from tasks.core.parameters import give_knobs, given
from tasks.core.question import PROVENANCE, Question
from tasks.core.stage import AnyStage
from tasks.core.walk import walk
from tasks.crf_search import TABLE as CRF_TABLE
from tasks.crf_search import CrfSearch
from tasks.diagnosis import TABLE as DIAGNOSIS_TABLE
from tasks.diagnosis import Diagnosis
from tasks.image_stage import TRAIN
from tasks.labels import LabelStage, kept
from tasks.merge_weights import MergeWeights
from tasks.predictions import Predictions
from tasks.reports import paper
from tasks.reports.rows import keys_of
from tasks.scores import THRESHOLD, Scores
from tasks.supervision import BY_CLASSIFIER
from tasks.tune_labels import TABLE as TUNING_TABLE
from tasks.tune_labels import TuneLabels

MAKERS = {
    "pseudo": ("PatchMaps", "Cams", "ThresholdMaps", "PseudoLabels"),
    "crf": ("Cams", "CrfLabels"),
    "merged": ("Predictions", "MergedLabels"),
    "round2": ("Predictions", "MergedLabels", "RoundLabels"),
}
_METRICS = ("ods", "ois", "ap", "images_per_second")
SHOWN = (
    *("labels", "variant", "way", "arch", "masks_used", "tuned_on_masks", *_METRICS),
    *("paper_ods", "paper_ois", "paper_ap", "images"),
)


class LabelTables(Question):
    """Label quality (II), ablations (VII), diagnosis: outputs/tables/<dataset>/labels-<split>/…csv."""

    split = TRAIN

    def settle(self) -> None:
        if self.variant:
            raise SettingsError(
                f"LabelTables --variant {self.variant!r}: the rows of Table VII are variants themselves and would be "
                "without it; say its numbers as --Stage-knob value, or in a recipe that names the one it changes"
            )
        if not (self.knobs.classifiers or self.knobs.merge_rules):
            raise SettingsError("[LabelTables] classifiers or merge_rules must name at least one")
        for rule in self.knobs.merge_rules:
            one_of(rule, get_args(MergeRule), "rule in [LabelTables] merge_rules")

    @cached_property
    def knobs(self) -> LabelTablesKnobs:
        return self.experiment.resolve(LabelTablesKnobs, given(self, LabelTablesKnobs))

    @property
    def arch(self) -> str:
        """The classifier of the ablations and of the diagnosis: the first."""
        return self.knobs.classifiers[0]

    def scores(self, labels: str, arch: str, variant: str = "") -> Scores:
        return self.sibling(Scores, labels=labels, arch=arch, split=self.split, variant=variant)

    def tuning(self) -> TuneLabels:
        return self.sibling(TuneLabels, arch=self.arch)

    def tuned(self) -> Scores | None:
        """The scores of labels tuned on masks, when TuneLabels has been run."""
        search = self.tuning()
        return self.scores("pseudo", self.arch, search.variant_of_best()) if search.complete() else None

    def quality(self) -> dict[tuple[str, str], Scores]:
        kinds = [(THRESHOLD, ""), *((kind, arch) for arch in self.knobs.classifiers for kind in BY_CLASSIFIER)]
        return {(kind, arch): self.scores(kind, arch) for kind, arch in kinds}

    def ablations(self) -> dict[str, Scores]:
        varied = {variant: self.scores("pseudo", self.arch, variant) for variant in self.knobs.variants}
        return {**varied, "complete": self.scores("pseudo", self.arch)}

    def diagnosis(self) -> Diagnosis:
        return self.sibling(Diagnosis, arch=self.arch, split=self.split)

    def merging(self) -> dict[str, Scores]:
        """Every source alone, every rule, and the second round."""
        if not self.knobs.merge_rules:
            return {}
        rules = {f"merged by {rule}": f"MergedLabels.rule={rule}" for rule in self.knobs.merge_rules}
        merged = {way: self.scores("merged", "", variant) for way, variant in rules.items()}
        return {**_sources(self), **merged, "round2": self.scores("round2", "")}

    def requires(self) -> list[AnyStage]:
        stages: list[AnyStage] = [*self.quality().values(), *self.merging().values()]
        if not self.knobs.classifiers:
            return stages
        tuned = self.tuned()
        return [*stages, *self.ablations().values(), self.diagnosis(), *([tuned] if tuned else [])]

    def answer(self) -> None:
        from pipeline.reports.tables_text import aligned

        folder = self.published_folder() / f"labels-{self.split}"
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / PROVENANCE, self.provenance())
        for name, path in self._searches().items():
            files.write_bytes(folder / name, path.read_bytes())
        tables = {"table_II": list(self._quality_rows())}
        if self.knobs.classifiers:
            tables["table_VII"] = list(self._ablation_rows())
            tables["diagnosis"] = files.read_rows(self.diagnosis().entry.checked(DIAGNOSIS_TABLE))
        if self.knobs.merge_rules:
            tables["merging"] = [{"way": way, **self._measured(stage)} for way, stage in self.merging().items()]
        for name, rows in tables.items():
            files.write_rows(folder / f"{name}.csv", rows)
            table = files.read_table(folder / f"{name}.csv")
            print(f"\n{name} of {self.dataset}, {self.split} images")
            print(aligned(table, {column: column for column in SHOWN if column in table.columns}))
        print(f"\nAll tables: {folder}", flush=True)

    def _searches(self) -> dict[str, Path]:
        """The tables of the searches behind the labels, by the name under which they are laid out."""
        found = {
            f"crf_search-{arch}.csv": self.sibling(CrfSearch, arch=arch).entry.checked(CRF_TABLE)
            for arch in self.knobs.classifiers
        }
        if not self.knobs.classifiers:
            return {}
        tuning = self.tuning()
        return found | ({"tune_labels.csv": tuning.entry.checked(TUNING_TABLE)} if tuning.complete() else {})

    def _quality_rows(self) -> Iterator[Row]:
        for (kind, arch), stage in self.quality().items():
            row = {"labels": kind, "arch": arch, "tuned_on_masks": 0, **self._measured(stage)}
            yield self._beside_paper(row, "II", labels=kind, method=arch)
        tuned = self.tuned() if self.knobs.classifiers else None
        if tuned:
            masks = self.tuning().masks_used()
            row = {"labels": "pseudo", "arch": self.arch, "tuned_on_masks": masks, **self._measured(tuned)}
            yield self._beside_paper({**row, "masks_used": masks}, "", labels="", method="")

    def _ablation_rows(self) -> Iterator[Row]:
        for variant, stage in self.ablations().items():
            row = {"variant": variant, "arch": self.arch, **self._measured(stage)}
            yield self._beside_paper(row, "VII", labels="pseudo", method=variant)

    def _measured(self, stage: Scores) -> Row:
        masks = {"masks_used": stage.masks_used()}
        return {"split": self.split, **stage.summary(), **masks, "images_per_second": speed(stage), **keys_of(stage)}

    def _beside_paper(self, row: Mapping[str, object], table: str, **axes: str) -> Row:
        """The paper's numbers for the same table; nan where it has none (it labels CRACK500's training images)."""
        from pipeline.reports.scores_to_tables import beside

        test_set = f"{self.dataset}-{self.split}"
        theirs = {name: paper.paper_value(table, test_set=test_set, **axes, metric=name) for name in _METRICS}
        return beside(row, theirs)


give_knobs(LabelTables, LabelTablesKnobs)


def _sources(tables: LabelTables) -> dict[str, Scores]:
    """Of each source of merged labels, how good its map is alone."""
    found = tables.sibling(MergeWeights).predictions(split=tables.split)
    return {text: _alone(tables, stage) for text, stage in found.items()}


def _alone(tables: LabelTables, stage: Predictions) -> Scores:
    """Asked at the sizes at which it is asked as a source."""
    scales = stage.knobs.scales
    experiment = tables.experiment.varied(f"Predictions.scales={json.dumps(scales)}") if scales else tables.experiment
    return experiment.task(Scores, segmenter=stage.segmenter, labels=stage.labels, split=tables.split)


def speed(stage: Scores) -> float:
    """Images per second of wall time through all stages that make these labels, as their manifests recorded it."""
    from pipeline.reports.scores_to_tables import rate

    makers, maps = ("Predictions",) if stage.segmenter else MAKERS.get(stage.labels, ("ThresholdMaps",)), stage.maps()
    parts = [part for part in walk(stage) if part.stage() in makers and getattr(part, "split", "") == stage.split]
    seconds = [part.entry.manifest()["seconds"] for part in parts if part.complete()]
    count = len(kept(maps.entry)) if isinstance(maps, LabelStage) else int(str(stage.summary()["images"]))
    return rate(count, seconds)
