"""The schema of a description: where a data set's images and masks lie, and what their names tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

PLACES = ("split", "name", "folder", "group")  # what may stand in braces
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class TreesKnobs:
    """For [Dataset] layout = "trees". A pattern is the end of a path, whatever folders lie above it.

    {name}: what an image and its mask have in common; {split}: a word for train, val, test or unlabelled; {folder}: one
    or more folders; {group}: the photo that a crop was cut from; *: any text within a name, # a whole number. Small and
    capital letters are the same in what is written out; without a suffix, any kind of image will do.
    """

    images: list[str]
    masks: list[str]  # a path that fits one of these is no image; []: there are none
    groups: list[str]  # of names: what stands at {group} is the photo; "*": the source; fits none: the name itself
    sources: list[str]  # how names begin that come from the same older data set; the index calls it `part`
    crack: list[str]  # of images that have a crack, and of those that have none, mask or not
    no_crack: list[str]
    without_mask: Literal["fail", "no_crack", "unlabelled"]  # what an image is that has no mask and fits neither
    split_lists: list[str]  # of text files that name the images of their {split}, one a line; []: there are none
    label_lists: list[str]  # of XML files with an element for each image, whose child says 1 for crack
    label_tag: str  # that child

    def __post_init__(self) -> None:
        for knob in ("images", "masks", "groups", "crack", "no_crack", "split_lists", "label_lists"):
            for pattern in getattr(self, knob):
                problem = _wrong(knob, pattern)
                if problem:
                    raise ValueError(f"{knob} = {pattern!r}; {problem}")
        if self.label_lists and not self.label_tag:
            raise ValueError('label_lists, but label_tag = ""; name the element that says 1 for crack')


_NEEDED = {"images": "name", "masks": "name", "split_lists": "split"}


def _wrong(knob: str, pattern: str) -> str:
    """What is allowed, where a pattern cannot be meant; '' where it can."""
    found = _BRACES.findall(pattern)
    if any(name not in PLACES for name in found) or re.search(r"[{}]", _BRACES.sub("", pattern)):
        return f"in braces are allowed: {', '.join(PLACES)}"
    if knob in _NEEDED and _NEEDED[knob] not in found:
        return f"needed: {{{_NEEDED[knob]}}} in it"
    if knob == "groups" and ("/" in pattern or set(found) - {"group"}):
        return "allowed: a name without folders, in braces only {group}"
    if pattern.startswith("/") or "\\" in pattern or not {".", "..", ""}.isdisjoint(pattern.split("/")):
        return "allowed: folders and a name with / between them"
    return ""
