"""Predictions and masks of anybody's folder: found, looked at, and read the way that their folder says."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import DatasetKnobs, JudgeKnobs
from pipeline.ops.raw_outputs import over_maximum, sigmoid
from tasks.core.errors import StageError
from tasks.intake.photo_decoding import RefusedError, grey_values, shown

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy")
Values: TypeAlias = NDArray[Any]  # bool, whole numbers or floats, as a file has them
_ALLOWED = f"files: {', '.join(SUFFIXES)}"
_LOSSY = (".jpg", ".jpeg", ".webp")
_WHOLE = {1: np.dtype(np.uint8), 2: np.dtype(np.uint16)}


@dataclass(frozen=True)
class Listed:
    """Paths below a folder, those that can be read and those that nobody looks at."""

    names: tuple[str, ...]
    others: int


def listed(folder: Path, option: str) -> Listed:
    if not folder.is_dir():
        raise StageError(f"{option} {shown(folder)}: there is no such folder; give one with such {_ALLOWED}")
    every = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder)))
    names = tuple(str(path.relative_to(folder).as_posix()) for path in every if path.suffix.lower() in SUFFIXES)
    if not names:
        raise StageError(f"{option} {shown(folder)}: nothing to judge is in there; give a folder with such {_ALLOWED}")
    return Listed(names, len(every) - len(names))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "Thumbs.db" for part in path.parts)


@dataclass(frozen=True)
class Look:
    """What a file is, before anybody decides how its folder is read."""

    shape_hw: tuple[int, int]
    kind: str  # of its numbers: "u" whole ones, "f" with a fraction, "b" yes or no
    brightest: float
    dimmest: float
    lossy: bool
    grey: float  # share of its pixels that are neither its folder's black nor white, cut at 8 bits
    top: int = 255  # the most that its whole numbers can say


def look(path: Path, rules: DatasetKnobs, what: str) -> Look:
    values = values_of(path, rules, what)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        broken = int(values.size - np.isfinite(values).sum())
        raise RefusedError(
            f"{shown(path)}: {broken:,} of {values.size:,} values are not numbers (NaN or infinite); predict it anew"
        )
    top = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    grey = float(np.mean((values > 0) & (values < top))) if values.max() > 1 else 0.0
    lossy = path.suffix.lower() in _LOSSY
    return Look(values.shape[:2], values.dtype.kind, float(values.max()), float(values.min()), lossy, grey, int(top))


def values_of(path: Path, rules: DatasetKnobs, what: str) -> Values:
    """H×W as it lies there: bool, uint8, uint16 or floats; whole numbers of other sizes only where they are 0 and 1."""
    values = _array(path) if path.suffix.lower() == ".npy" else grey_values(path, rules, what)
    squeezed = values.reshape([side for side in values.shape if side != 1]) if values.ndim > 2 else values
    if squeezed.ndim != 2 or not squeezed.size:
        raise RefusedError(f"{shown(path)}: an array of shape {values.shape}; H×W is needed, one channel")
    if squeezed.dtype.kind in "iu" and squeezed.dtype not in _WHOLE.values():
        if not np.isin(squeezed, (0, 1)).all():
            raise RefusedError(f"{shown(path)}: {squeezed.dtype} with values beyond 0 and 1; save uint8 or floats")
        squeezed = squeezed > 0
    if squeezed.dtype.kind not in "buf":
        raise RefusedError(f"{shown(path)}: an array of {squeezed.dtype}; numbers are needed")
    return squeezed


def _array(path: Path) -> Values:
    try:
        with path.open("rb") as file:  # which is closed whatever is in it
            loaded: Values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RefusedError(f"{shown(path)}: cannot be read as .npy ({error}); save it again with numpy.save") from None
    if not isinstance(loaded, np.ndarray):
        raise RefusedError(f"{shown(path)}: holds several arrays (.npz); save one with numpy.save")
    return loaded


@dataclass(frozen=True)
class Reading:
    """How the files of one folder become probabilities or masks; what it says is told in the table."""

    zero_one: bool  # whole numbers are 0 and 1 in the whole folder
    npy: str
    notes: tuple[str, ...]


def reading_of_predictions(looks: Sequence[tuple[Path, Look]], knobs: JudgeKnobs) -> Reading:
    whole = [each for _, each in looks if each.kind == "u"]
    zero_one = bool(whole) and max(each.brightest for each in whole) <= 1
    notes = ["predictions of 0 and 1 are read as no and yes"] * (zero_one and any(each.brightest for each in whole))
    real = [(path, each) for path, each in looks if each.kind == "f"]
    outside = [(path, each) for path, each in real if each.dimmest < 0 or each.brightest > 1]
    if outside and knobs.npy == "probabilities":
        path, each = outside[0]
        raise RefusedError(
            f"{shown(path)}: values from {each.dimmest:.4g} to {each.brightest:.4g}, but probabilities lie in 0 … 1; "
            "for raw outputs of a network say --npy logits, or --npy logits_over_maximum as MixerCSeg has it"
        )
    if real and knobs.npy != "probabilities":
        notes.append(f'{len(real):,} predictions with a fraction are read as npy = "{knobs.npy}"')
    if looks and any(each.lossy for _, each in looks):
        notes.append(
            f"{sum(each.lossy for _, each in looks):,} predictions are JPEG or WebP, which changes probabilities"
        )
    return Reading(zero_one, knobs.npy, tuple(notes))


def prediction(path: Path, rules: DatasetKnobs, reading: Reading) -> Values:
    """bool, uint8, uint16, or floats in [0, 1]."""
    values = values_of(path, rules, "prediction")
    if values.dtype.kind == "u" and reading.zero_one:
        return values > 0
    if values.dtype.kind != "f" or reading.npy == "probabilities":
        return values
    return sigmoid(values) if reading.npy == "logits" else over_maximum(values)


def reading_of_masks(looks: Sequence[tuple[Path, Look]], knobs: JudgeKnobs) -> Reading:
    """One file of 0 and 1 among others of 0 and 255 is refused: it would be all background, or all noise."""
    broken = [path for path, each in looks if each.kind == "f"]
    if broken:
        raise RefusedError(f"{shown(broken[0])}: a mask with fractions; give one with 0 and 255, or 0 and 1")
    brightest = max(each.brightest for _, each in looks)
    zero_one = brightest <= 1
    if zero_one:
        lossy = [path for path, each in looks if each.lossy and each.brightest]
        if lossy:
            raise RefusedError(f"{shown(lossy[0])}: a JPEG mask of 0 and 1, which blurs them; give one with 0 and 255")
        return Reading(True, "", ("masks of 0 and 1 are read as background and crack",) * int(brightest > 0))
    for path, each in looks:
        _check_mask(path, each, knobs)
    grey = [each for _, each in looks if each.grey]
    most = max((each.grey for each in grey), default=0.0)
    note = f"{len(grey):,} masks have grey pixels, up to {most:.2%} of one; crack from {knobs.mask_threshold} on"
    return Reading(False, "", (note,) * bool(grey))


def _check_mask(path: Path, each: Look, knobs: JudgeKnobs) -> None:
    cut = knobs.mask_threshold * each.top // 255
    if each.kind == "u" and 0 < each.brightest < cut and not each.lossy:
        raise RefusedError(
            f"{shown(path)}: its brightest value is {each.brightest:g}, below mask_threshold = {cut}; "
            f"give masks that are all of 0 and {each.top}, or all of 0 and 1"
        )
    if each.grey > knobs.max_grey_share:
        raise RefusedError(
            f"{shown(path)}: {each.grey:.1%} of the pixels are neither 0 nor 255; allowed: [Judge] max_grey_share = "
            f"{knobs.max_grey_share:g}"
        )


def mask(path: Path, rules: DatasetKnobs, reading: Reading, threshold: int) -> NDArray[np.bool_]:
    values = values_of(path, rules, "mask")
    if values.dtype == np.bool_ or reading.zero_one:
        return values > 0
    return values >= (threshold if values.dtype == np.uint8 else 257 * threshold)


def fitted(prediction: Values, mask: NDArray[np.bool_], name: str, crop_px: int) -> tuple[Values, NDArray[np.bool_]]:
    """Both in one size: cut off at the right and below by at most crop_px, or refused."""
    if prediction.shape == mask.shape:
        return prediction, mask
    apart = max(abs(one - other) for one, other in zip(prediction.shape, mask.shape, strict=True))
    if apart > crop_px:
        sizes = [f"{array.shape[1]}×{array.shape[0]}" for array in (prediction, mask)]
        hint = " (is one of them turned?)" if prediction.shape == mask.shape[::-1] else ""
        raise RefusedError(
            f"{shown(name)}: a prediction of {sizes[0]} for a mask of {sizes[1]}{hint}; nothing is resized here: "
            f"predict at the mask's size, or cut off up to so many pixels with --crop-px (now {crop_px})"
        )
    height, width = (min(one, other) for one, other in zip(prediction.shape, mask.shape, strict=True))
    return prediction[:height, :width], mask[:height, :width]
