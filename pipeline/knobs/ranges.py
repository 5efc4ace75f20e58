"""What a knob's value may be: whole numbers and fractions with their ranges, choices, lists, tables."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """Allowed numbers, both ends included."""

    low: float
    high: float
    odd: bool = False  # odd numbers only

    def __str__(self) -> str:
        return f"{'odd numbers from ' if self.odd else ''}{self.low:g} to {self.high:g}"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and (not self.odd or value % 2 == 1)


Count = Annotated[int, Range(0, 10**9)]
Positive = Annotated[int, Range(1, 10**9)]
Side = Annotated[int, Range(1, 65_536)]  # of an image or a window, in pixels
Share = Annotated[float, Range(0.0, 1.0)]
Amount = Annotated[float, Range(0.0, 1e6)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Plain = dict[str, str | int | float]  # a table of texts and numbers
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}


@functools.cache
def fields(schema: type) -> dict[str, Any]:
    """Name → annotated type of every knob of a schema."""
    return get_type_hints(schema, include_extras=True)


def check(annotation: Any, value: Any) -> Any:
    """The value in its declared type, or a ValueError that says what was given and what is allowed.

    `True` is no number, `"4"` is no number, and `1` is accepted where a fraction is wanted (as 1.0).
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        base, bounds = get_args(annotation)
        return _within(check(base, value), bounds)
    if origin is Literal:
        return _choice(get_args(annotation), value)
    if origin in (list, dict):
        return _collection(annotation, value)
    return _plain(annotation, value)


def _within(value: Any, bounds: Range) -> Any:
    if value in bounds:
        return value
    raise ValueError(f"{value!r}; allowed: {bounds}")


def _choice(allowed: tuple[Any, ...], value: Any) -> Any:
    if any(type(value) is type(option) and value == option for option in allowed):
        return value
    close = _closest(value, allowed) if isinstance(value, str) else ""
    hint = f" (did you mean {close!r}?)" if close else ""
    raise ValueError(f"{value!r}; allowed: {', '.join(map(repr, allowed))}{hint}")


def _collection(annotation: Any, value: Any) -> Any:
    if get_origin(annotation) is list:
        if isinstance(value, (list, tuple)):
            return [check(get_args(annotation)[0], item) for item in value]
        raise ValueError(f"{value!r}; allowed: a list")
    if annotation == Plain:
        return _table(value)
    if isinstance(value, Mapping) and all(isinstance(item, Mapping) for item in value.values()):
        return {str(name): dict(item) for name, item in sorted(value.items())}
    raise ValueError(f"{value!r}; allowed: one table of options for each name")


def _table(value: Any) -> dict[str, str | int | float]:
    if isinstance(value, Mapping) and all(type(item) in (str, int, float) for item in value.values()):
        return {str(name): item for name, item in sorted(value.items())}
    raise ValueError(f"{value!r}; allowed: a table of texts and numbers")


def _plain(kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if isinstance(kind, (type, types.GenericAlias)) and type(value) is kind and kind is not float:
        return value
    raise ValueError(f"{value!r}; allowed: {_WORDS.get(kind, kind)}")


def in_words(annotation: Any) -> str:
    """What may be given, for the help of the command line: "a whole number from 1 to 255"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        kind, bounds = arguments
        words = f"{_WORDS[kind]} from {bounds.low:g} to {bounds.high:g}"
        return words.replace("a whole", "an odd") if bounds.odd else words
    if origin is Literal:
        return " or ".join(map(str, arguments))
    if origin is list:
        return f"a list, of each item {in_words(arguments[0])}"
    if annotation == Plain:
        return 'a table of texts and numbers, as JSON: {"partition": "long", "time": "8:00:00"}'
    if origin is dict:
        return 'a table of options for each name, as JSON: {"unet": {"width": 16}}'
    return "a text" if annotation is str else _WORDS[annotation]


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that helps with a misspelt name: the nearest known one, or all of them."""
    names = sorted(known)
    close = _closest(name, names)
    return f"did you mean {close}?" if close else f"known: {', '.join(names)}"


def _closest(name: str, known: Iterable[str]) -> str:
    lowered = {str(each).lower(): str(each) for each in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[close[0]] if close else ""


def as_dict(knobs: Any) -> dict[str, Any]:
    """The knobs as plain values, for manifests and keys."""
    return dataclasses.asdict(knobs)
