"""Errors that a user can act on: one sentence, no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HairlineError(Exception):
    """What was given, what is allowed, what to do: in one sentence."""


class SettingsError(HairlineError):
    """A settings file or a command line that cannot be used."""


class StageError(HairlineError):
    """A stage that could not finish."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause that helps with a misspelt name: the nearest known one, or all of them."""
    names = sorted(known)
    lowered = {known_name.lower(): known_name for known_name in names}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]}?"
    return f"known: {', '.join(names)}"
