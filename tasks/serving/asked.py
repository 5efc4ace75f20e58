"""What the page asks about, and in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from tasks.core.errors import SettingsError

UNDONE = "undone"
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_OPEN = ("", UNDONE)


@dataclass(frozen=True)
class Asked:
    """One thing to be answered: a photo, or a tile of it."""

    id: str  # stable; the picture is reached by it alone, never by a path
    name: str  # shown to the user: the photo's relative name
    tile: tuple[int, int, int, int] | None  # left, top, right, bottom in pixels of the photo; None: the whole photo
    doubt: float  # 0..1, the most doubtful first
    hint: float  # the network's probability of a crack; nan: no network was asked

    @cached_property
    def key(self) -> tuple[str, str]:
        """Image and tile as answers.csv names them."""
        return self.name, " ".join(map(str, self.tile or ()))


class Photos(Protocol):
    """Where the pictures come from; it is asked for one at a time."""

    def jpeg(self, id: str, longest: int) -> bytes:
        """The picture of an Asked, its tile already cut, at most `longest` pixels wide and high."""


class Queue:
    """All that is asked, the most doubtful first; equal doubts in the order in which they were given."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        for one in asked:
            if not _ID.fullmatch(one.id):
                raise SettingsError(
                    f"{one.id!r} cannot name a photo; allowed are 1 to 100 letters, digits, '_' and '-'"
                )
            if not 0 <= one.doubt <= 1:
                raise SettingsError(f"{one.name!r} has a doubt of {one.doubt}; it lies in 0 to 1")
        self.ordered = sorted(asked, key=lambda one: -one.doubt)
        self._by_id = {one.id: one for one in asked}
        self._of_photo: dict[str, list[Asked]] = {}
        for one in asked:
            self._of_photo.setdefault(one.name, []).append(one)
        if len(self._by_id) < len(asked) or len({one.key for one in asked}) < len(asked):
            raise SettingsError("two things to be answered have one id, or one photo and tile; ask each of them once")

    def find(self, id: object) -> Asked | None:
        """By an id that a stranger may have made up."""
        return self._by_id.get(id) if isinstance(id, str) else None

    def beside(self, one: Asked) -> list[Asked]:
        """All tiles of its photo, itself too."""
        return self._of_photo[one.name]

    def unanswered(self, answers: Mapping[tuple[str, str], str], count: int) -> list[Asked]:
        """The first ones that have no answer, or whose answer was taken back."""
        waiting = (one for one in self.ordered if answers.get(one.key, "") in _OPEN)
        return [one for one, _ in zip(waiting, range(count), strict=False)]

    def answered_so(self, answers: Mapping[tuple[str, str], str], answer: str) -> list[Asked]:
        return [one for one in self.ordered if answers.get(one.key) == answer]

    def last(self, answers: Mapping[tuple[str, str], str]) -> Asked | None:
        """The one that was answered last of all, in whatever tab or run."""
        by_key = {one.key: one for one in self.ordered}
        standing = (key for key in reversed(list(answers)) if answers[key] not in _OPEN)
        return next((by_key[key] for key in standing if key in by_key), None)
