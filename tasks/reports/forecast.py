"""How many trainings lie ahead, and roughly how long they will take on this machine."""

from __future__ import annotations

import collections
import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import knobs
from pipeline.reports.manifests_to_forecast import Forecast, Training, forecast
from tasks.core import cache, console, settings
from tasks.core.provenance import manifests, snake
from tasks.core.stage import Stage
from tasks.core.trained_stage import TrainedStage
from tasks.dataset import INDEX
from tasks.intake import photo_index

_GEOMETRIES = {"eightfold": 8, "none": 1}
_SPEED = ("batch_size", "crop_px", "precision", "options", "head")  # the knobs that decide seconds per sample
_MACHINE = ("device", "threads")


def forecast_line(*stages: Stage) -> str:
    """One sentence about what must be trained before the stages are there; '' when nothing must."""
    trained = [part for part in missing(*stages) if isinstance(part, TrainedStage)]
    if not trained:
        return ""
    told = forecast(map(_ahead, trained), _past({stage.stage() for stage in trained}))
    kinds = collections.Counter(stage.stage() for stage in trained)
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    many = f"{told.trainings} trainings lie" if told.trainings > 1 else "1 training lies"
    return f"{many} ahead ({counts}): {_how_long(told)}"


def missing(*stages: Stage) -> list[Stage]:
    """What will run, each once: what is above a finished stage is not asked for, even where it is gone."""
    found: dict[Stage, None] = {}

    def visit(part: Stage) -> None:
        if part not in found and not part.complete():
            found[part] = None
            for above in part.upstream().values():
                visit(above)

    for stage in stages:
        visit(stage)
    return list(found)


def _how_long(told: Forecast) -> str:
    names = ", ".join(sorted(set(told.unknown)))
    if len(told.unknown) == told.trainings:
        return f"no estimate yet, nothing like {names} was trained on this machine; each says how long it has left"
    about = f"about {console.duration(told.seconds)}"
    if not told.unknown:
        return f"{about}, going by past ones on this machine"
    known = told.trainings - len(told.unknown)
    return f"{about} for {known} of them, going by past ones on this machine; no estimate yet for {names}"


def _ahead(stage: TrainedStage) -> Training:
    folders = {name: part.entry.folder for name, part in stage.upstream().items()}
    here = {"host": console.host(), "execution": knobs.as_dict(stage.execution)}
    return _training(stage.stage(), stage.axes, stage.significant_knobs(), folders, here)


def _past(stages: Iterable[str]) -> Iterable[tuple[Training, float]]:
    """Every finished training of those stages in the outputs folder, with its seconds."""
    outputs = settings.outputs_folder()
    for stage in stages:
        for manifest in manifests(outputs / snake(stage)):
            folders = {name: outputs / entry for name, entry in manifest["upstream_entries"].items()}
            yield _training(stage, manifest["axes"], manifest["knobs"], folders, manifest), manifest["seconds"]


def _training(
    stage: str,
    axes: Mapping[str, str],
    numbers: Mapping[str, Any],
    folders: Mapping[str, Path],
    where: Mapping[str, Any],
) -> Training:
    name = axes.get("segmenter") or axes.get("arch", "")
    speed = {knob: numbers[knob] for knob in _SPEED if knob in numbers}
    machine = {"host": where["host"], **{knob: where["execution"][knob] for knob in _MACHINE}}
    network = cache.canonical({"stage": stage, "name": name, **speed, **machine})
    per_epoch = numbers.get("samples_per_epoch") or _samples(stage, numbers, folders)
    return Training(name, network, per_epoch, numbers.get("epochs", 0))


def _samples(stage: str, numbers: Mapping[str, Any], folders: Mapping[str, Path]) -> int:
    """Samples of an epoch that takes all there are; 0 where the stages above have not counted them yet."""
    if stage == "Classifier":
        return _patches(folders["patches"] / "counts.csv")
    images = _images(folders["dataset"] / INDEX, "train")
    if "added_dataset" in folders:
        images += _images(folders["added_dataset"] / INDEX, "test")
    return images * _GEOMETRIES.get(numbers.get("geometry", ""), 0)


def _patches(counts: Path) -> int:
    if not counts.is_file():
        return 0
    with counts.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "train"]
    return sum(int(row["crack"]) + int(row["no_crack"]) for row in rows)


def _images(index: Path, split: str) -> int:
    return photo_index.sizes(photo_index.read(index))[split] if index.is_file() else 0
