"""How data sets lie on disk → one list of rows; works on relative paths and touches no file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"  # images that nobody labelled: kept in the index, used by nothing that learns
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
MASK_SUFFIXES = (*IMAGE_SUFFIXES, ".mat")
LABEL_WORDS = {"crack": 1, "no_crack": 0, "positive": 1, "negative": 0, "1": 1, "0": 0}
_OTHER_PICTURES = (".gif", ".heic", ".heif", ".avif", ".jp2", ".dng", ".cr2", ".nef", ".ppm", ".pgm", ".svg", ".pdf")
_MASK_FOLDERS = {"masks", "mask", "labels", "gt"}
_SAFE_STEM_CHARS = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One photo of a data set; `mask` is '' and `label` is −1 where there is none; split '' is decided later."""

    id: str
    image: str
    mask: str = ""
    split: str = ""
    group: str = ""  # the photo it was cut from: all its crops stay on one side of a split
    name: str = ""  # what lists of names call it
    label: int = -1


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass
class Found:
    """What a layout makes of a list of paths."""

    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Image:
    """An image in waiting: `key` is what it has in common with its mask."""

    key: str
    row: Row


def row_id(path: str) -> str:
    """A name that is safe for files and unique: the stem's harmless letters and a hash of the relative path."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(path).stem).strip("._-")[:_SAFE_STEM_CHARS]
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{stem or 'photo'}-{digest}"


def row_of(path: str, *, split: str = "", group: str = "", name: str = "", label: int = -1) -> Row:
    stem = PurePosixPath(path).stem
    return Row(row_id(path), path, "", split, group or stem, name or stem, label)


def folders(paths: Iterable[str]) -> Found:
    """`images/<split>/….jpg` with `masks/<split>/….png` of the same relative name; without split folders the settings
    say what is held out."""
    images, masks, problems = [], [], []
    for path, above, tail in _below(paths, ("images", "masks")):
        key = str(PurePosixPath(above, *tail[1:]).with_suffix(""))
        split = tail[1] if len(tail) > 2 else ""
        if tail[0] == "masks" and _has(path, MASK_SUFFIXES):
            masks.append((key, path))
        elif tail[0] == "images" and _has(path, _OTHER_PICTURES):
            problems.append(_other_picture(path))
        elif tail[0] == "images" and _has(path, IMAGE_SUFFIXES):
            if split not in ("", UNLABELLED, *SPLITS):
                problems.append(Problem(path, f"{split!r} is no split; allowed: {', '.join(SPLITS)}, {UNLABELLED}"))
            else:
                images.append(_Image(key, row_of(path, split=split, group=key)))
    return _joined(images, masks, problems)


def crack500(paths: Iterable[str]) -> Found:
    """`traincrop/<photo>_<x>_<y>.jpg` beside its `.png`, or in trees images and masks; `valcrop` and `testcrop` too."""
    images, masks = [], []
    for path, above, tail in _below(paths, ("traincrop", "valcrop", "testcrop")):
        split, stem = tail[0].removesuffix("crop"), PurePosixPath(path).stem
        around = {*PurePosixPath(above).parts, *tail[1:-1]}
        if around & _MASK_FOLDERS or (_has(path, (".png",)) and "images" not in around):
            masks.append((f"{split}/{stem}", path))
        elif _has(path, IMAGE_SUFFIXES):
            images.append(_Image(f"{split}/{stem}", row_of(path, split=split, group=_without_corner(stem))))
    return _joined(images, masks)


def _without_corner(stem: str) -> str:
    """`20160222_081011_1281_721` → `20160222_081011`: the photo of a crop."""
    return re.sub(r"_\d+_\d+$", "", stem)


def cfd(paths: Iterable[str]) -> Found:
    """`image/001.jpg` with `groundTruth/001.mat`; images without ground truth are unlabelled."""
    images, masks = [], []
    for path, above, tail in _below(paths, ("image", "groundTruth")):
        key = f"{above}/{PurePosixPath(path).stem}"
        if tail[0] == "groundTruth" and _has(path, MASK_SUFFIXES):
            masks.append((key, path))
        elif tail[0] == "image" and _has(path, IMAGE_SUFFIXES):
            images.append(_Image(key, row_of(path)))
    return _unlabelled_without_mask(_joined(images, masks))


def ael(paths: Iterable[str]) -> Found:
    """`IMAGES/…/Im_GT_AIGLE_RN_C18aor.png` or `…/Im_GT_ESAR_30a.jpg` with `GROUND_TRUTH/…/GT_AIGLE_RN_C18a.png`;
    images called noGT are unlabelled."""
    images, masks = [], []
    for path, above, tail in _below(paths, ("IMAGES", "GROUND_TRUTH")):
        name = _ael_name(PurePosixPath(path).stem)
        if tail[0] == "GROUND_TRUTH" and _has(path, MASK_SUFFIXES):
            masks.append((f"{above}/{name}", path))
        elif tail[0] == "IMAGES" and _has(path, IMAGE_SUFFIXES):
            split = UNLABELLED if "nogt" in path.lower() else ""
            images.append(_Image(f"{above}/{name}", row_of(path, split=split, group=name, name=name)))
    return _unlabelled_without_mask(_joined(images, masks))


def _ael_name(stem: str) -> str:
    """`Im_GT_AIGLE_RN_C18aor`, `GT_AIGLE_RN_C18a` → `AIGLE_RN_C18a`."""
    return stem.removeprefix("Im_").removeprefix("GT_").removesuffix("or")


def dcd(paths: Iterable[str]) -> Found:
    """`train_img/11111.jpg` with `train_lab/11111.png`, and the same for test; without a test half no image has a
    split. `IMG25-1`, `IMG25-2` … count as one photo."""
    images, masks = [], []
    for path, above, tail in _below(paths, ("train_img", "train_lab", "test_img", "test_lab")):
        half, kind = tail[0].split("_")
        key = f"{above}/{half}/{PurePosixPath(path).stem}"
        group = re.sub(r"-\d+$", "", PurePosixPath(path).stem)
        if kind == "lab" and _has(path, MASK_SUFFIXES):
            masks.append((key, path))
        elif kind == "img" and _has(path, IMAGE_SUFFIXES):
            images.append(_Image(key, row_of(path, split=half, group=group)))
    found = _joined(images, masks)
    if {row.split for row in found.rows} == {"train"}:
        found.rows = [replace(row, split="") for row in found.rows]
    return found


def classes(paths: Iterable[str]) -> Found:
    """Folders `crack` and `no_crack` (or positive and negative) of images, perhaps inside train, val and test; no
    masks anywhere."""
    found = Found()
    for path in sorted(paths):
        folder, above = PurePosixPath(path).parent.name, PurePosixPath(path).parent.parent.name
        label = LABEL_WORDS.get(folder.lower(), -1)
        if label < 0 or folder.isdigit():
            continue
        if _has(path, _OTHER_PICTURES):
            found.problems.append(_other_picture(path))
        elif _has(path, IMAGE_SUFFIXES):
            split = above if above in SPLITS else ""
            found.rows.append(row_of(path, split=split, group=str(PurePosixPath(path).with_suffix("")), label=label))
    return found


LAYOUTS: dict[str, tuple[Callable[[Iterable[str]], Found], str]] = {
    "synthetic": (folders, "images/<split>/… and masks/<split>/…"),
    "folders": (folders, "images/train/… and masks/train/…, the same for test and perhaps val"),
    "crack500": (crack500, "traincrop/<photo>_<x>_<y>.jpg and .png, valcrop/…, testcrop/…"),
    "cfd": (cfd, "image/001.jpg and groundTruth/001.mat"),
    "ael": (ael, "IMAGES/AIGLE_RN/Im_GT_AIGLE_RN_C18aor.png and GROUND_TRUTH/AIGLE_RN/GT_AIGLE_RN_C18a.png"),
    "dcd": (dcd, "train_img/….jpg and train_lab/….png, test_img/… and test_lab/…"),
    "classes": (classes, "crack/….jpg and no_crack/….jpg"),
}


def _has(path: str, suffixes: tuple[str, ...]) -> bool:
    return PurePosixPath(path).suffix.lower() in suffixes


def _other_picture(path: str) -> Problem:
    return Problem(path, f"no accepted kind of image; save it as one of {', '.join(IMAGE_SUFFIXES)}")


def _below(paths: Iterable[str], names: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(path, the folders above, the parts from the first folder called one of `names` on), in order of the paths."""
    for path in sorted(paths):
        parts = PurePosixPath(path).parts
        at = [index for index, part in enumerate(parts[:-1]) if part in names]
        if at:
            yield path, str(PurePosixPath(*parts[: at[0]])), parts[at[0] :]


def _joined(images: list[_Image], masks: list[tuple[str, str]], problems: Iterable[Problem] = ()) -> Found:
    """Images with their masks. A pairing that is not one to one is a problem, never a guess."""
    found = Found(problems=list(problems))
    masks_of: dict[str, list[str]] = {}
    for key, path in masks:
        masks_of.setdefault(key, []).append(path)
    images_of: dict[str, list[str]] = {}
    for image in images:
        images_of.setdefault(image.key, []).append(image.row.image)
    for image in images:
        matching, rivals = masks_of.get(image.key, []), images_of[image.key]
        if len(matching) > 1:
            found.problems.append(Problem(image.row.image, f"several masks match ({', '.join(matching)}); keep one"))
        elif matching and len(rivals) > 1:
            found.problems.append(Problem(matching[0], f"several images match ({', '.join(rivals)}); keep one"))
        else:
            found.rows.append(replace(image.row, mask=matching[0] if matching else ""))
    found.problems += [_orphan(path, key, images_of) for key, path in masks if key not in images_of]
    found.problems = list(dict.fromkeys(found.problems))
    return found


def _orphan(path: str, key: str, images_of: dict[str, list[str]]) -> Problem:
    near = [images[0] for other, images in images_of.items() if other.lower() == key.lower()]
    hint = f" but for capital letters {near[0]}" if near else ""
    return Problem(path, f"a mask without an image: none has its name{hint}; rename or remove it")


def _unlabelled_without_mask(found: Found) -> Found:
    found.rows = [row if row.mask else replace(row, split=UNLABELLED) for row in found.rows]
    return found
