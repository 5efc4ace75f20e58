"""How many trainings lie ahead, and roughly how long they will take on this machine."""

from __future__ import annotations

import collections
import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipeline import knobs
from pipeline.reports.manifests_to_forecast import Forecast, Training, forecast
from tasks.core import cache, console, settings
from tasks.core.files import snake
from tasks.core.stage import AnyStage
from tasks.core.trained_stage import TrainedStage
from tasks.core.walk import missing
from tasks.dataset import INDEX
from tasks.intake import photo_index

_GEOMETRIES = {"eightfold": 8, "none": 1}
_SPEED = ("batch_size", "crop_px", "precision", "options", "head")  # the knobs that decide seconds per sample
_Trained = TrainedStage[knobs.TrainingKnobs]


def forecast_lines(*stages: AnyStage) -> list[str]:
    """What must be trained before the stages are there, and what makes it slow on this machine."""
    trained = [part for part in missing(*stages) if isinstance(part, TrainedStage) and part.significant_knobs()]
    if not trained:
        return []
    told = forecast(map(_ahead, trained), _past({stage.stage() for stage in trained}))
    kinds = collections.Counter(stage.stage() for stage in trained)
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    many = f"{told.trainings} trainings lie" if told.trainings > 1 else "1 training lies"
    return [f"{many} ahead ({counts}): {_how_long(told)}", *_slow(trained)]


def _how_long(told: Forecast) -> str:
    names, rough = (", ".join(sorted(set(each))) for each in (told.unknown, told.rough))
    if len(told.unknown) == told.trainings:
        return f"no estimate yet, nothing like {names} was trained on this machine; each says how long it has left"
    known = f" for {told.trainings - len(told.unknown)} of them" if names else ""
    basis = "going by past ones on this machine" + (f" (of {rough} with other threads)" if rough else "")
    return f"about {console.duration(told.seconds)}{known}, {basis}" + (
        f"; no estimate yet for {names}" if names else ""
    )


def _slow(trained: Iterable[_Trained]) -> list[str]:
    """bfloat16 on a processor that has to imitate it is slower than float32, by far."""
    slow = {
        stage.stage() for stage in trained if stage.knobs.precision == "bfloat16" and stage.execution.device != "cuda"
    }
    if not slow or console.has_fast_bfloat16():
        return []
    flags = " ".join(f"--{stage}-precision float32" for stage in sorted(slow))
    return [f"this processor imitates bfloat16, which takes about ten times as long as float32; faster: {flags}"]


def _ahead(stage: _Trained) -> Training:
    folders = {role: part.entry.folder for role, part in stage.above.items()}
    return _training(
        stage.stage(), stage.axes, stage.significant_knobs(), folders, console.host(), knobs.as_dict(stage.execution)
    )


def _past(stages: Iterable[str]) -> Iterator[tuple[Training, float]]:
    """Every finished training of those stages in the outputs folder, with its seconds."""
    outputs = settings.outputs_folder()
    for stage in stages:
        for _, found in cache.entries(outputs / snake(stage)):
            folders = {role: outputs / entry for role, entry in found["upstream_entries"].items()}
            training = _training(stage, found["axes"], found["knobs"], folders, found["host"], found["execution"])
            yield training, found["seconds"]


def _training(
    stage: str,
    axes: Mapping[str, str],
    numbers: Mapping[str, object],
    folders: Mapping[str, Path],
    host: str,
    execution: Mapping[str, object],
) -> Training:
    name = axes.get("segmenter") or axes.get("arch", "")
    speed = {knob: numbers[knob] for knob in _SPEED if knob in numbers}
    alike = {"stage": stage, "name": name, **speed, "host": host, "device": execution["device"]}
    side_by_side = {name: execution.get(name, 1) for name in ("ranks", "nodes")}
    network = cache.canonical({**alike, **side_by_side, "threads": execution["threads"]})
    per_epoch = numbers.get("samples_per_epoch") or _samples(stage, numbers, folders)
    epochs = numbers.get("epochs", 0)
    return Training(name, network, int(str(per_epoch)), int(str(epochs)), cache.canonical(alike))


def _samples(stage: str, numbers: Mapping[str, object], folders: Mapping[str, Path]) -> int:
    """Samples of an epoch that takes all there are; 0 where the stages above have not counted them yet, and where
    nothing is trained."""
    if "patches" in folders:
        return _patches(folders["patches"] / "counts.csv")
    if "dataset" not in folders:
        return 0
    images = _images(folders["dataset"] / INDEX, "train")
    if "added_dataset" in folders:
        images += _images(folders["added_dataset"] / INDEX, "test")
    return images * _GEOMETRIES.get(str(numbers.get("geometry", "")), 0)


def _patches(counts: Path) -> int:
    if not counts.is_file():
        return 0
    with counts.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "train"]
    return sum(int(row["crack"]) + int(row["no_crack"]) for row in rows)


def _images(index: Path, split: str) -> int:
    return photo_index.sizes(photo_index.read(index))[split] if index.is_file() else 0
