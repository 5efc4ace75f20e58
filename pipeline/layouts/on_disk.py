"""How data sets lie on disk → one list of rows; works on relative paths and touches no file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"  # images that nobody labelled: kept in the index, used by nothing that learns
_PLAIN_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
HEIF_SUFFIXES = (".heic", ".heif")  # of phones; their reader is an extra
IMAGE_SUFFIXES = (*_PLAIN_SUFFIXES, *HEIF_SUFFIXES)
MASK_SUFFIXES = (*_PLAIN_SUFFIXES, ".mat")
LABEL_WORDS = {"crack": 1, "no_crack": 0, "positive": 1, "negative": 0, "1": 1, "0": 0}
FOLDER_WORDS = {word: label for word, label in LABEL_WORDS.items() if not word.isdigit()}
OTHER_PICTURES = (".gif", ".avif", ".jp2", ".dng", ".cr2", ".nef", ".ppm", ".pgm", ".svg", ".pdf")
# how others call them; a folder of such a name would else be divided anew, without a word
_OTHER_WORDS = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
_SPLIT_WORDS = dict(zip(SPLITS, SPLITS, strict=True)) | _OTHER_WORDS
_MASK_FOLDERS = {"masks", "mask", "labels", "gt"}
_SAFE_STEM_CHARS = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One photo of a data set, as a layout finds it; the examination fills in the rest.

    `mask` is '' and `label` is −1 where there is none; split '' is decided later.
    """

    id: str
    image: str
    mask: str = ""
    split: str = ""
    group: str = ""  # the photo it was cut from: all its crops stay on one side of a split
    name: str = ""  # what lists of names call it
    label: int = -1  # what the mask says, or else the data set
    part: str = ""  # the data set it comes from, where several are combined
    tile: str = ""  # the part of the photo that an answer is for: "left top right bottom"; "": all of it
    width: int = 0
    height: int = 0
    pixels_sha256: str = ""


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
    lists: list[str] = field(default_factory=list)  # files that say something of the images

    def unread(self, paths: Iterable[str]) -> list[str]:
        """The paths that it makes nothing of."""
        read = {path for row in self.rows for path in (row.image, row.mask)} | {each.path for each in self.problems}
        read.update(self.lists)
        return sorted(path for path in paths if path not in read)


Keyed = tuple[str, Row]  # an image in waiting, with what it has in common with its mask


def row_id(path: str) -> str:
    """A name that is safe for files and unique: the stem's harmless letters and a hash of the relative path."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(path).stem).strip("._-")[:_SAFE_STEM_CHARS]
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{stem or 'photo'}-{digest}"


def is_picture(path: str) -> bool:
    """Whether the name says that it is one, of an accepted kind or not."""
    return _has(path, (*IMAGE_SUFFIXES, *OTHER_PICTURES))


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
        elif tail[0] == "images" and _has(path, OTHER_PICTURES):
            problems.append(other_picture(path))
        elif tail[0] == "images" and _has(path, IMAGE_SUFFIXES):
            if split not in ("", UNLABELLED, *SPLITS):
                problems.append(Problem(path, f"{split!r} is no split; allowed: {', '.join(SPLITS)}, {UNLABELLED}"))
            else:
                images.append((key, row_of(path, split=split, group=key)))
    return joined(images, masks, problems)


def crack500(paths: Iterable[str]) -> Found:
    """`traincrop/<photo>_<x>_<y>.jpg` beside its `.png`, or in trees images and masks; `valcrop` and `testcrop` too."""
    images, masks = [], []
    for path, above, tail in _below(paths, ("traincrop", "valcrop", "testcrop")):
        split, stem = tail[0].removesuffix("crop"), PurePosixPath(path).stem
        around = {*PurePosixPath(above).parts, *tail[1:-1]}
        if around & _MASK_FOLDERS or (_has(path, (".png",)) and "images" not in around):
            masks.append((f"{split}/{stem}", path))
        elif _has(path, IMAGE_SUFFIXES):
            images.append((f"{split}/{stem}", row_of(path, split=split, group=_without_corner(stem))))
    return joined(images, masks)


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
            images.append((key, row_of(path)))
    return _unlabelled_without_mask(joined(images, masks))


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
            images.append((f"{above}/{name}", row_of(path, split=split, group=name, name=name)))
    return _unlabelled_without_mask(joined(images, masks))


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
            images.append((key, row_of(path, split=half, group=group)))
    found = joined(images, masks)
    if {row.split for row in found.rows} == {"train"}:
        found.rows = [replace(row, split="") for row in found.rows]
    return found


def classes(paths: Iterable[str]) -> Found:
    """Folders `crack` and `no_crack` (or positive and negative) of images, whatever folders lie in them, perhaps
    inside train, val and test; no masks anywhere."""
    found = Found()
    for path in sorted(paths):
        above = PurePosixPath(path).parts[:-1]
        labels = {FOLDER_WORDS[word] for word in map(_as_word, above) if word in FOLDER_WORDS}
        if not labels or not is_picture(path):
            continue
        if _has(path, OTHER_PICTURES):
            found.problems.append(other_picture(path))
        elif len(labels) > 1:
            found.problems.append(Problem(path, "lies in a folder for cracks and in one for none; move it"))
        elif misnamed := next((part for part in above if part not in SPLITS and _as_word(part) in _SPLIT_WORDS), ""):
            right = _SPLIT_WORDS[_as_word(misnamed)]
            found.problems.append(Problem(path, f"lies in a folder {misnamed!r}; rename it to {right!r}"))
        else:
            split = next((part for part in above if part in SPLITS), "")
            group = str(PurePosixPath(path).with_suffix(""))
            found.rows.append(row_of(path, split=split, group=group, label=labels.pop()))
    return found


def _as_word(folder: str) -> str:
    """`No Crack`, `no-crack` → `no_crack`."""
    return re.sub(r"[\s-]+", "_", folder.strip().lower())


LAYOUTS: dict[str, Callable[[Iterable[str]], Found]] = {
    "synthetic": folders,
    "folders": folders,
    "crack500": crack500,
    "cfd": cfd,
    "ael": ael,
    "dcd": dcd,
    "classes": classes,
}
LOOKS_FOR = {
    "synthetic": "images/<split>/… and masks/<split>/…",
    "folders": "images/train/… and masks/train/…, the same for test and perhaps val",
    "crack500": "traincrop/<photo>_<x>_<y>.jpg and .png, valcrop/…, testcrop/…",
    "cfd": "image/001.jpg and groundTruth/001.mat",
    "ael": "IMAGES/AIGLE_RN/Im_GT_AIGLE_RN_C18aor.png and GROUND_TRUTH/AIGLE_RN/GT_AIGLE_RN_C18a.png",
    "dcd": "train_img/….jpg and train_lab/….png, test_img/… and test_lab/…",
    "classes": "crack/….jpg and no_crack/….jpg",
    "csv": "labels.csv with a line for each",
    "trees": "what fits [Trees] images and masks",
    "answers": "photos, in whatever folders",
}


_FOLDERS = {
    *("images", "masks", "traincrop", "valcrop", "testcrop", "image", "groundTruth", "IMAGES", "GROUND_TRUTH"),
    *("train_img", "train_lab", "test_img", "test_lab", *SPLITS, UNLABELLED),
}


def wrapping(files: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The folders, one in another, that hold all the files and mean nothing to any layout; files as their parts."""
    tops = {parts[0] for parts in files}
    if len(tops) != 1 or any(len(parts) == 1 for parts in files):
        return ()
    top = tops.pop()
    if top in _FOLDERS or _as_word(top) in FOLDER_WORDS:
        return ()
    return (top, *wrapping([parts[1:] for parts in files]))


def _has(path: str, suffixes: tuple[str, ...]) -> bool:
    return PurePosixPath(path).suffix.lower() in suffixes


def other_picture(path: str) -> Problem:
    return Problem(path, f"no accepted kind of image; save it as one of {', '.join(IMAGE_SUFFIXES)}")


def _below(paths: Iterable[str], names: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(path, the folders above, the parts from the first folder called one of `names` on), in order of the paths."""
    for path in sorted(paths):
        parts = PurePosixPath(path).parts
        at = [index for index, part in enumerate(parts[:-1]) if part in names]
        if at:
            yield path, str(PurePosixPath(*parts[: at[0]])), parts[at[0] :]


def joined(images: list[Keyed], masks: list[tuple[str, str]], problems: Iterable[Problem] = ()) -> Found:
    """Images with their masks. A pairing that is not one to one is a problem, never a guess."""
    found = Found(problems=list(problems))
    masks_of: dict[str, list[str]] = {}
    for key, path in masks:
        masks_of.setdefault(key, []).append(path)
    images_of: dict[str, list[str]] = {}
    for key, row in images:
        images_of.setdefault(key, []).append(row.image)
    for key, row in images:
        matching, rivals = masks_of.get(key, []), images_of[key]
        if len(matching) > 1:
            found.problems.append(Problem(row.image, f"several masks match ({', '.join(matching)}); keep one"))
        elif matching and len(rivals) > 1:
            found.problems.append(Problem(matching[0], f"several images match ({', '.join(rivals)}); keep one"))
        else:
            found.rows.append(replace(row, mask=matching[0] if matching else ""))
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
