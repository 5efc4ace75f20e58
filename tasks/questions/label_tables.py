"""LabelTables: the paper's Tables II and VII and the diagnosis, from cached stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.core import files, settings
from tasks.core.errors import SettingsError
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.crf_search import TABLE as CRF_TABLE
from tasks.crf_search import CrfSearch
from tasks.diagnosis import TABLE as DIAGNOSIS_TABLE
from tasks.diagnosis import Diagnosis
from tasks.labels import LabelStage
from tasks.questions.run_all import Question
from tasks.reports.rows import keys_of, walk
from tasks.scores import Scores
from tasks.tune_labels import TABLE as TUNING_TABLE
from tasks.tune_labels import TuneLabels

MAKERS = {
    "pseudo": ("PatchMaps", "Cams", "ThresholdMaps", "PseudoLabels"),
    "crf": ("Cams", "CrfLabels"),
}


class LabelTables(Question):
    """Label quality (II), ablations (VII), diagnosis: outputs/tables/<dataset>/labels-<split>/…csv."""

    split = Choice(SPLITS, "split", default="train")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.variant:
            raise SettingsError(
                f"LabelTables --variant {self.variant!r}: the rows of Table VII are variants themselves and would be "
                "without it; say its numbers as --Stage-knob value, or in a recipe that names the one it changes"
            )

    def knobs(self) -> Any:
        return settings.resolve("LabelTables", self.dataset, self.recipe, "", {})

    def scores(self, labels: str, arch: str, variant: str = "") -> Scores:
        changed = {"variant": variant} if variant else {}
        return self.sibling(Scores, labels=labels, arch=arch, split=self.split, **changed)

    def tuned(self) -> Scores | None:
        """The scores of labels tuned on masks, when TuneLabels has been run."""
        search = self.sibling(TuneLabels, arch=self.arch())
        return self.scores("pseudo", self.arch(), search.variant_of_best()) if search.complete() else None

    def arch(self) -> str:
        """The classifier of the ablations and of the diagnosis: the first."""
        return str(self.knobs().classifiers[0])

    def quality(self) -> dict[tuple[str, str], Scores]:
        kinds = [("threshold", "")] + [(kind, arch) for arch in self.knobs().classifiers for kind in ("crf", "pseudo")]
        return {(kind, arch): self.scores(kind, arch) for kind, arch in kinds}

    def ablations(self) -> dict[str, Scores]:
        varied = {variant: self.scores("pseudo", self.arch(), variant) for variant in self.knobs().variants}
        return {**varied, "complete": self.scores("pseudo", self.arch())}

    def diagnosis(self) -> Diagnosis:
        return self.sibling(Diagnosis, arch=self.arch(), split=self.split)

    def requires(self) -> list[Stage]:
        tuned = self.tuned()
        return [*self.quality().values(), *self.ablations().values(), self.diagnosis(), *([tuned] if tuned else [])]

    def answer(self) -> None:
        import pandas as pd

        from pipeline.reports.tables_text import aligned

        folder = self.published_folder() / f"labels-{self.split}"
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "provenance.json", self.provenance())
        tables = {
            "table_II": pd.DataFrame(list(self._quality_rows())),
            "table_VII": pd.DataFrame(list(self._ablation_rows())),
            "diagnosis": files.read_table(self.diagnosis().entry.checked(DIAGNOSIS_TABLE)),
        }
        for name, path in self._searches().items():
            files.write_bytes(folder / name, path.read_bytes())
        for name, table in tables.items():
            files.write_table(folder / f"{name}.csv", table)
            columns = [column for column in SHOWN if column in table.columns]
            print(f"\n{name} of {self.dataset}, {self.split} images")
            print(aligned(table, {column: column for column in columns}))
        print(f"\nAll tables: {folder}", flush=True)

    def _searches(self) -> dict[str, Path]:
        """The tables of the searches behind the labels, by the name under which they are laid out."""
        found = {
            f"crf_search-{arch}.csv": self.sibling(CrfSearch, arch=arch).entry.checked(CRF_TABLE)
            for arch in self.knobs().classifiers
        }
        tuning = self.sibling(TuneLabels, arch=self.arch())
        return found | ({"tune_labels.csv": tuning.entry.checked(TUNING_TABLE)} if tuning.complete() else {})

    def _quality_rows(self) -> Iterator[dict[str, Any]]:
        for (kind, arch), stage in self.quality().items():
            row = {"labels": kind, "arch": arch, "tuned_on_masks": 0, **self._measured(stage)}
            yield self._beside_paper(row, "II", kind, arch)
        tuned = self.tuned()
        if tuned:
            masks = len(files.read_table(self.sibling(TuneLabels, arch=self.arch()).entry.checked("images.csv")))
            row = {"labels": "pseudo", "arch": self.arch(), "tuned_on_masks": masks, **self._measured(tuned)}
            row |= {"masks_used": masks}
            yield self._beside_paper(row, "", "", "")

    def _ablation_rows(self) -> Iterator[dict[str, Any]]:
        for variant, stage in self.ablations().items():
            row = {"variant": variant, "arch": self.arch(), **self._measured(stage)}
            yield self._beside_paper(row, "VII", "pseudo", variant)

    def _measured(self, stage: Scores) -> dict[str, Any]:
        masks = {"masks_used": stage.masks_used()}
        return {"split": self.split, **stage.summary(), **masks, "images_per_second": speed(stage), **keys_of(stage)}

    def _beside_paper(self, row: dict[str, Any], table: str, labels: str, method: str) -> dict[str, Any]:
        """The paper's numbers for the same table; nan where it has none (it labels CRACK500's training images)."""
        from pipeline.reports.scores_to_tables import beside
        from tasks.reports.paper import paper_value

        images = f"{self.dataset}-{self.split}"
        theirs = {
            metric: paper_value(table, test_set=images, labels=labels, method=method, metric=metric)
            for metric in ("ods", "ois", "ap", "images_per_second")
        }
        return beside(row, theirs)


SHOWN = (
    "labels",
    "variant",
    "way",
    "arch",
    "masks_used",
    "tuned_on_masks",
    "ods",
    "ois",
    "ap",
    "images_per_second",
    "paper_ods",
    "paper_ois",
    "paper_ap",
    "images",
)


def speed(stage: Scores) -> float:
    """Images per second of wall time through all stages that make these labels, as their manifests recorded it."""
    from pipeline.reports.scores_to_tables import rate

    makers = MAKERS.get(stage.labels, ("ThresholdMaps",))
    parts = [part for part in walk(stage) if part.stage() in makers and getattr(part, "split", "") == stage.split]
    seconds = [float(part.entry.manifest()["seconds"]) for part in parts if part.complete()]
    maps = stage.maps()
    count = len(maps.kept()) if isinstance(maps, LabelStage) else int(stage.summary()["images"])
    return rate(count, seconds)
