"""What the photos of a data set, all together, must be told of: what stops the work, and what is only odd."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from pipeline.knobs import DatasetKnobs
from pipeline.layouts import splits
from pipeline.layouts.on_disk import LOOKS_FOR, SPLITS, Row, is_picture
from tasks.intake import photo_index
from tasks.intake.examination import Verdict
from tasks.intake.photo_decoding import shown

_SOME = 6  # names in a sentence
_LISTED = 40  # bad files in a message; all of them are in a file
_NEEDED = {"both": ("train", "test"), "training": ("train",), "testing": ("test",)}
_WHO_DECIDES = {"train": "max_images, val_names, test_names", "test": "test_share, test_names"}


def judged(
    verdict: Verdict, rules: DatasetKnobs, name: str, place: str, list_of_bad: Path
) -> tuple[list[str], list[str]]:
    """(sentences that stop the work, sentences that are only told), all of them, so that all can be mended at once."""
    rows, told = verdict.rows, list[str]()
    bad = verdict.bad if rules.on_bad_image == "fail" else []
    stops = [_bad_files(bad, list_of_bad)] if bad else []
    for policy, names, what, where in (
        (rules.on_duplicate, _twice(rows, "split"), "the same image is in several splits", "split"),
        (rules.on_contradiction, _twice(rows, "label"), "the same image has two answers", "class"),
        (rules.on_shared_photo, splits.on_two_sides(rows), "images of one photo are in several splits", "split"),
    ):
        if names:
            sentence = f"{what} ({len(names)}: {_some(names)}); keep each in one {where} only"
            (stops if policy == "fail" else told).append(sentence)
    if not bad:  # what seems to be lacking may be among the bad ones
        stops += _lacking(rows, rules, name, place)
    return stops, [*told, *_unread(verdict.unread, rules)]


def _some(names: Iterable[str]) -> str:
    every = sorted(names)
    return ", ".join(map(shown, every[:_SOME])) + (", …" if len(every) > _SOME else "")


def _bad_files(bad: list[tuple[str, str]], list_of_bad: Path) -> str:
    listed = [f"  {reason}" for _, reason in bad[:_LISTED]]
    if len(bad) > _LISTED:
        photo_index.write_reasons(list_of_bad, bad)
        listed.append(f"  and {len(bad) - _LISTED} more: all of them are in {list_of_bad}")
    head = f'{len(bad)} bad files, mend or remove them (or set [Dataset] on_bad_image = "skip"):'
    return "\n".join([head, *listed])


def _twice(rows: Iterable[Row], what: str) -> set[str]:
    """Images whose decoded pixels are there with several splits, or several labels."""
    first: dict[str, Row] = {}
    found: set[str] = set()
    for row in rows:
        if row.split in SPLITS:
            other = first.setdefault(row.pixels_sha256, row)
            if getattr(other, what) != getattr(row, what):
                found |= {other.image, row.image}
    return found


def _lacking(rows: list[Row], rules: DatasetKnobs, name: str, place: str) -> Iterator[str]:
    """Splits that must not be empty, and a second kind of photos to learn from."""
    sizes = photo_index.sizes(rows)
    for split in _NEEDED[rules.purpose]:
        if not sizes[split]:
            yield (
                f"the {split} split of {name} is empty; put images for it into {place}, "
                f"or see [Dataset] {_WHO_DECIDES[split]}"
            )
    train = [row for row in rows if row.split == "train"]
    if train and not any(row.mask for row in train) and len({row.label for row in train}) == 1:
        yield (
            f"all {len(train)} training images of {name} have the same label and no mask; "
            "a classifier needs images with and without cracks"
        )


def _unread(paths: Iterable[str], rules: DatasetKnobs) -> Iterator[str]:
    """One sentence for each folder with pictures that no rule of the layout reads."""
    folders: dict[str, list[str]] = {}
    for path in filter(is_picture, paths):
        folders.setdefault(str(PurePosixPath(path).parent), []).append(path)
    for folder, names in folders.items():
        yield f"{shown(folder)}/: {len(names)} pictures not read, such as {shown(names[0])}; {_wanted(rules)}"


def reasons_unread(paths: Iterable[str], rules: DatasetKnobs) -> Iterator[tuple[str, str]]:
    """(file, why it is not read) of each."""
    return ((path, f"{shown(path)}: not read; {_wanted(rules)}") for path in paths)


def _wanted(rules: DatasetKnobs) -> str:
    return f"the layout {rules.layout!r} looks for {LOOKS_FOR[rules.layout]}"
