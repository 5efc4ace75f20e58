"""Which of the data sets that the settings name are on this machine."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.core.errors import StageError
from tasks.dataset import Dataset


def absent(datasets: Mapping[str, Dataset], section: str, policy: str) -> dict[str, str]:
    """Name → what is missing, of those data sets that are not on this machine; refused where the settings say so."""
    reasons = {name: dataset.source.missing() for name, dataset in datasets.items()}
    missing = {name: reason for name, reason in reasons.items() if reason}
    if missing and policy == "fail":
        named = f"data sets that [{section}] names are not here: {told(missing)}"
        raise StageError(f'{named}; get them, or set absent = "name"')
    return missing


def told(missing: Mapping[str, str]) -> str:
    """Each with what is missing, in one line; '' when nothing is."""
    return "; ".join(f"{name}: {reason}" for name, reason in missing.items())


def left_out(missing: Mapping[str, str]) -> str:
    """One sentence about what is absent; '' when nothing is."""
    return f"left out, not on this machine: {told(missing)}" if missing else ""
