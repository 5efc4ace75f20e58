"""Errors that a user can act on: one sentence, no traceback."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.knobs.ranges import nearest


class HairlineError(Exception):
    """What was given, what is allowed, what to do: in one sentence."""


class SettingsError(HairlineError):
    """A settings file or a command line that cannot be used."""


class StageError(HairlineError):
    """A stage that could not finish."""


def one_of(value: str, allowed: Iterable[str], what: str) -> None:
    """A check of an axis: one sentence with the nearest allowed name."""
    if value not in allowed:
        raise SettingsError(f"there is no {what} {value!r}; {nearest(value, allowed)}")
