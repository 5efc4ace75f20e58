"""A table image,mask,split,label → rows; every problem has its line number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.layouts.on_disk import (
    IMAGE_SUFFIXES,
    LABEL_WORDS,
    MASK_SUFFIXES,
    SPLITS,
    UNLABELLED,
    Found,
    Problem,
    Row,
    row_of,
)

TABLE = "labels.csv"
COLUMNS = ("image", "mask", "split", "label")


def table(paths: Iterable[str], text: str) -> Found:
    """`labels.csv` with the columns image, mask, split, label, of which image is needed and the others may be missing
    or empty; , or ; between the columns."""
    known = set(paths)
    found = Found()
    seen: dict[str, int] = {}
    records = list(_records(text))
    for line, record, problem in records:
        problem = problem or _wrong(record, known)
        if not problem and record["image"] in seen:
            problem = f"{record['image']} is in line {seen[record['image']]} already; keep one of the two"
        if problem:
            found.problems.append(Problem(f"{TABLE}, line {line}", problem))
        else:
            seen[record["image"]] = line
            found.rows.append(_row(record))
    mentioned = {value for _, record, _ in records for value in record.values()}
    images = [path for path in sorted(known) if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
    found.problems += [
        Problem(path, f"an image that {TABLE} does not name; add or remove it")
        for path in images
        if path not in mentioned
    ]
    return found


def _records(text: str) -> Iterator[tuple[int, dict[str, str], str]]:
    """(line, value of every column, what is wrong with the line or '')."""
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in head and "," not in head else ",")
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        _check_head(names)
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if any(cell.strip() for cell in cells):
                yield line, *_record(names, cells)
    except csv.Error as error:
        raise ValueError(f"{TABLE}, line {reader.line_num}: {error}; save it as CSV again") from None


def _check_head(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if "image" not in names or unknown or len(set(names)) < len(names):
        raise ValueError(f"{TABLE}, line 1: columns {', '.join(names) or 'missing'}; allowed: {', '.join(COLUMNS)}")


def _record(names: list[str], cells: list[str]) -> tuple[dict[str, str], str]:
    problem = "" if len(cells) == len(names) else f"{len(cells)} columns; the first line has {len(names)}"
    values = dict(zip(names, (cell.strip() for cell in cells), strict=False))
    record = {name: values.get(name, "") for name in COLUMNS}
    return {**record, **{name: record[name].replace("\\", "/") for name in ("image", "mask")}}, problem


def _wrong(record: dict[str, str], known: set[str]) -> str:
    """The first thing that is wrong with a line; '' when nothing is."""
    for name, suffixes in (("image", IMAGE_SUFFIXES), ("mask", MASK_SUFFIXES)):
        path = record[name]
        if not path and name == "image":
            return "no image is named"
        if path.startswith("/") or ".." in PurePosixPath(path).parts:
            return f"{name} {path} leads out of the folder; give a path relative to {TABLE}"
        if path and path not in known:
            return f"there is no {name} {path}; correct the path or remove the line"
        if path and PurePosixPath(path).suffix.lower() not in suffixes:
            return f"{name} {path} is no accepted kind of image; allowed: {', '.join(suffixes)}"
    if record["split"] not in ("", UNLABELLED, *SPLITS):
        return f"split {record['split']!r}; allowed: {', '.join(SPLITS)}, {UNLABELLED} or empty"
    if record["label"] and record["label"].lower() not in LABEL_WORDS:
        return f"label {record['label']!r}; allowed: {', '.join(LABEL_WORDS)} or empty"
    return ""


def _row(record: dict[str, str]) -> Row:
    label = LABEL_WORDS.get(record["label"].lower(), -1)
    row = row_of(record["image"], split=record["split"], group=record["image"], label=label)
    return replace(row, mask=record["mask"])
