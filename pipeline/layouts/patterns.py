"""A pattern of paths such as "{split}_img/{name}.jpg" → what a path is called by it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pipeline.layouts.on_disk import UNLABELLED

_SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
    UNLABELLED: (UNLABELLED,),
}
SPLIT_WORDS = {word: split for split, words in _SPELLINGS.items() for word in words}
_MEANS = {"split": "|".join(SPLIT_WORDS), "name": "[^/]+", "folder": ".+", "group": "[^/]+"}


class Pattern:
    """The end of a path, letter for letter but for capitals and for what stands in braces."""

    def __init__(self, text: str, suffixes: Iterable[str] = ()) -> None:
        """`suffixes`: those that a path may have where the pattern has none of them."""
        self.text = text
        suffixes = tuple(suffixes)
        self.places: set[str] = set()
        body = "".join(self._piece(piece) for piece in _split_up(text))
        if suffixes and not text.lower().endswith(suffixes):
            body += f"(?:{'|'.join(map(re.escape, suffixes))})"
        self._regex = re.compile(f"(?:.*/)?{body}", re.IGNORECASE | re.DOTALL)

    def _piece(self, piece: str) -> str:
        if piece == "*":
            return "[^/]*"
        if piece == "#":
            return "[0-9]+"
        if not piece.startswith("{"):
            return re.escape(piece)
        place = piece[1:-1]
        if place in self.places:
            return f"(?P={place})"
        self.places.add(place)
        return f"(?P<{place}>{_MEANS[place]})"

    def __call__(self, path: str) -> dict[str, str] | None:
        """What stands at each place in braces; None where the path does not fit."""
        found = self._regex.fullmatch(path)
        if found is None:
            return None
        places = found.groupdict()
        return {**places, "split": SPLIT_WORDS[places["split"].lower()]} if "split" in places else places


def _split_up(text: str) -> list[str]:
    """Places in braces, * and #, and the texts between them."""
    return [piece for piece in re.split(r"(\{\w+\}|\*|#)", text) if piece]


def first(patterns: Iterable[Pattern], path: str) -> Mapping[str, str] | None:
    """What the first pattern makes of a path that any of them fits."""
    return next((found for found in (pattern(path) for pattern in patterns) if found is not None), None)
