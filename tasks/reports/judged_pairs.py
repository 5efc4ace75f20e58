"""Which systems are judged, and which of their predictions belongs to which mask."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.knobs import DatasetKnobs, JudgeKnobs
from pipeline.layouts.pairing import RULES, Pairs, paired, told_apart
from tasks.core.errors import SettingsError, StageError
from tasks.core.workers import Workers
from tasks.dataset import Dataset
from tasks.intake import judged_files
from tasks.intake.judged_files import Reading, listed
from tasks.intake.photo_decoding import shown
from tasks.intake.photo_index import Photo
from tasks.reports.judging import Loading, LookJob, Pair

_BY_DATASET = Reading(False, "", ())  # the data set's own rules read its masks
MaskOf = Mapping[str, Path | Photo]


@dataclass(frozen=True)
class System:
    """Whose predictions these are; `notes` say what is odd about them."""

    name: str
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    missing: int = 0  # masks without a prediction, which were left out

    def loading(self, rules: DatasetKnobs, knobs: JudgeKnobs, workers: Workers) -> Loading:
        """Looks at every file, so that all of a folder are read in one way."""
        paths = [pair.prediction for pair in self.pairs]
        looks = list(zip(paths, workers.map(LookJob(rules, "prediction"), paths), strict=True))
        predictions = judged_files.reading_of_predictions(looks, knobs)
        masks = [pair.mask for pair in self.pairs if isinstance(pair.mask, Path)]
        if not masks:
            return Loading(rules, knobs, predictions, _BY_DATASET)
        seen = list(zip(masks, workers.map(LookJob(rules, "mask"), masks), strict=True))
        return Loading(rules, knobs, predictions, judged_files.reading_of_masks(seen, knobs))


def systems_of(given: str) -> dict[str, Path]:
    """The folders that are named with commas between, by their own names, or with as many parents as tell them
    apart."""
    folders = [Path(part.strip()).expanduser().absolute() for part in given.split(",") if part.strip()]
    if not folders or len(set(folders)) < len(folders):
        raise SettingsError(f"--predictions {given!r}; allowed: a folder, or several different ones with , between")
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["_".join(folder.parts[1:][-depth:]) or "predictions" for folder in folders]
        if len(set(names)) == len(names):
            return dict(zip(names, folders, strict=True))
    raise SettingsError(f"--predictions {given!r}: the folders cannot be told apart by their names; rename one")


def of_folder(folders: Mapping[str, Path], masks: Path, knobs: JudgeKnobs) -> list[System]:
    found = listed(masks, "--masks")
    names, notes = list(found.names), _unseen(found.others, masks)
    if masks.resolve() in {folder.resolve() for folder in folders.values()}:
        _, names, others = told_apart(names)
        if not names or others:
            raise StageError(
                f"{shown(masks)} is given as predictions and as masks: names must end with _pre, _pred or the like and "
                f"with _lab, _mask or the like, but {shown((others or ['none'])[0])} does not; use two folders"
            )
    goes_by = {name: [name] for name in names}
    where = {name: masks / name for name in names}
    return _all_paired(folders, goes_by, where, {name: _group(name, knobs.group) for name in names}, knobs, notes)


def of_dataset(folders: Mapping[str, Path], dataset: Dataset, knobs: JudgeKnobs) -> list[System]:
    """Masks of the test split; names are the ids of the index or those of the photos' files."""
    photos = [photo for photo in dataset.photos("test") if photo.mask_path]
    if not photos:
        raise StageError(f"no test image of {dataset.dataset} has a mask; nothing can be judged")
    rows = {row.id: row for row in dataset.rows}
    goes_by = {photo.id: [f"{photo.id}.png", rows[photo.id].image] for photo in photos}
    groups = {name: _group(name, knobs.group) if knobs.group else rows[name].group or name for name in goes_by}
    return _all_paired(folders, goes_by, {photo.id: photo for photo in photos}, groups, knobs, ())


def _all_paired(
    folders: Mapping[str, Path],
    goes_by: Mapping[str, Sequence[str]],
    masks: MaskOf,
    groups: Mapping[str, str],
    knobs: JudgeKnobs,
    notes: tuple[str, ...],
) -> list[System]:
    """Every system on the same masks: those for which each of them has a prediction."""
    systems = [_system(name, folder, goes_by, masks, groups, knobs) for name, folder in folders.items()]
    common = set.intersection(*({pair.name for pair in system.pairs} for system in systems))
    if not common:
        raise StageError(f"no mask has a prediction of each of {', '.join(folders)}; nothing can be judged")
    return [
        replace(
            system,
            pairs=tuple(pair for pair in system.pairs if pair.name in common),
            notes=(*notes, *system.notes),
            missing=len(goes_by) - len(common),
        )
        for system in systems
    ]


def _system(
    name: str,
    folder: Path,
    goes_by: Mapping[str, Sequence[str]],
    masks: MaskOf,
    groups: Mapping[str, str],
    knobs: JudgeKnobs,
) -> System:
    found = listed(folder, "--predictions")
    at = {path.resolve() for path in masks.values() if isinstance(path, Path)}
    names = [file for file in found.names if (folder / file).resolve() not in at]  # a mask is nobody's prediction
    pairs = paired(goes_by, names)
    _check(pairs, name, len(goes_by), knobs)
    notes = list(_unseen(found.others, folder))
    if pairs.lonely_predictions:
        count, first = len(pairs.lonely_predictions), shown(pairs.lonely_predictions[0])
        notes.append(f"{name}: {count:,} predictions have no mask and are not judged, such as {first}")
    if pairs.lonely_masks:
        notes.append(
            f"{name}: {len(pairs.lonely_masks):,} of {len(goes_by):,} masks have no prediction and are left out"
        )
    every = [Pair(mask, groups[mask], folder / path, masks[mask]) for mask, path in pairs.found.items()]
    return System(name, tuple(every), tuple(notes))


def _check(pairs: Pairs, name: str, masks: int, knobs: JudgeKnobs) -> None:
    if pairs.doubts:
        raise StageError(f"{name}: {pairs.doubts[0]}")
    lonely = pairs.lonely_masks
    if lonely and not knobs.pairs_only:
        extra = pairs.lonely_predictions
        beside = f" (predictions without a mask: {len(extra):,}, such as {shown(extra[0])})" if extra else ""
        raise StageError(
            f"{name}: {len(lonely):,} of {masks:,} masks have no prediction, such as {shown(lonely[0])}{beside}; "
            f"names are compared by {RULES}; --pairs-only true judges the others only"
        )


def _group(name: str, pattern: str) -> str:
    """What the pattern finds in a name: its first group in brackets, or all of it; without one each stands alone."""
    if not pattern:
        return name
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise SettingsError(f"[Judge] group = {pattern!r} is no regular expression ({error})") from None
    if not found:
        raise StageError(f"[Judge] group = {pattern!r} finds nothing in the name {shown(name)}; it must in every name")
    bracketed = [text for text in found.groups() if text is not None]
    return bracketed[0] if bracketed else found.group()


def _unseen(others: int, folder: Path) -> tuple[str, ...]:
    return (f"{others:,} other files in {shown(folder)} are not looked at",) if others else ()
