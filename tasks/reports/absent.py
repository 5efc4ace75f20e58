"""Which of the data sets that the settings name are on this machine."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.dataset import Dataset


def absent(datasets: Mapping[str, Dataset]) -> dict[str, str]:
    """Name → what is missing, of those data sets that are not on this machine."""
    missing = {name: _missing(dataset) for name, dataset in datasets.items()}
    return {name: reason for name, reason in missing.items() if reason}


def told(missing: Mapping[str, str]) -> str:
    """Each with what is missing, in one line; '' when nothing is."""
    return "; ".join(f"{name}: {reason}" for name, reason in missing.items())


def left_out(missing: Mapping[str, str]) -> str:
    """One sentence about what is absent; '' when nothing is."""
    return f"left out, not on this machine: {told(missing)}" if missing else ""


def _missing(dataset: Dataset) -> str:
    """A clause that says what is not there, '' when all is. Demo photos are drawn when they are needed."""
    if dataset.knobs.layout == "synthetic":
        return ""
    if dataset.knobs.layout == "combined":
        return ", ".join(reason for reason in map(_missing, dataset.part_stages().values()) if reason)
    root = dataset.photos_root()
    return "" if root.is_dir() else f"no data at {root} (luigi --module tasks Fetch --dataset {dataset.dataset})"
