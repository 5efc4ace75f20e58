"""What lists beside the images say of them: which split each is in, and which have a crack."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.knobs.trees import TreesKnobs
from pipeline.layouts.on_disk import IMAGE_SUFFIXES, Found, Problem, Row, is_picture
from pipeline.layouts.patterns import Pattern, first

_SUFFIX = re.compile(rf"({'|'.join(map(re.escape, IMAGE_SUFFIXES))})$", re.IGNORECASE)


def split_by_lists(found: Found, described: TreesKnobs, texts: Mapping[str, str]) -> None:
    """Every image gets the split of the list that names it; one that none or two of them name is a problem."""
    patterns = [Pattern(text) for text in described.split_lists]
    lists = [(path, places["split"]) for path in texts if (places := first(patterns, path))]
    if not lists:
        raise ValueError(
            f"no file fits [Trees] split_lists = {' or '.join(described.split_lists)}; put the lists there, "
            "or set split_lists = []"
        )
    known: dict[str, list[Row]] = {}
    for row in found.rows:
        known.setdefault(PurePosixPath(_bare(row.image)).name, []).append(row)
    said: dict[str, set[str]] = {}
    for path, split in lists:
        for number, line in _lines(texts[path]):
            meant = _meant(line, known)
            if len(meant) == 1:
                said.setdefault(meant[0].id, set()).add(split)
            else:
                why = "there is no such image" if not meant else f"{len(meant)} images are called so"
                found.problems.append(Problem(f"{path}, line {number}", f"{line}: {why}; correct or remove the line"))
    named = ", ".join(path for path, _ in lists)
    for row in found.rows:
        if len(said.get(row.id, ())) != 1:
            why = "is in the lists of several splits" if row.id in said else "no list names it"
            found.problems.append(Problem(row.image, f"{why} ({named}); keep it in one list, or remove it"))
    found.rows = [replace(row, split=min(said[row.id])) for row in found.rows if len(said.get(row.id, ())) == 1]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip().replace("\\", "/")


def _meant(line: str, known: Mapping[str, Sequence[Row]]) -> Sequence[Row]:
    """The images that a line names, by path or name, with or without a suffix, perhaps with the mask behind it."""
    named = [_bare(words).removeprefix("./") for words in (line, line.split()[0])]
    called = [known.get(PurePosixPath(bare).name, []) for bare in named]
    exact = [
        [row for row in rows if f"/{_bare(row.image)}".endswith(f"/{bare}")]
        for bare, rows in zip(named, called, strict=True)
    ]
    return next((rows for rows in (*exact, *called) if rows), [])


def _bare(path: str) -> str:
    return _SUFFIX.sub("", path)


def labelled(found: Found, described: TreesKnobs, texts: Mapping[str, str]) -> None:
    """Images whose place does not say whether they have a crack get what the XML lists say of their file names."""
    patterns = [Pattern(text) for text in described.label_lists]
    said: dict[str, int] = {}
    for path, text in texts.items():
        if first(patterns, path) is not None:
            said |= _labels(path, text, described.label_tag)
    found.rows = [
        replace(row, label=said.get(PurePosixPath(row.image).name, -1)) if row.label < 0 else row for row in found.rows
    ]


def _labels(path: str, text: str, tag: str) -> dict[str, int]:
    """File name → 1 or 0, of every element that is called after a picture and has such a child."""
    try:
        elements = ElementTree.fromstring(text).iter()
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not valid XML ({error}); copy it again") from None
    found = {}
    for element in elements:
        names = [name for name in element.attrib.values() if is_picture(name)]
        said = element.findtext(tag)
        if names and said is not None:
            found[names[0]] = int(said.strip() == "1")
    return found
