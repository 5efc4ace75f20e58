"""From a stage to all that it rests on, planned or as manifests tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tasks.core import cache
from tasks.core.cache import Entry, Manifest
from tasks.core.settings import outputs_folder
from tasks.core.stage import AnyStage


def walk(*stages: AnyStage, into: Callable[[AnyStage], bool] = lambda _: True) -> list[AnyStage]:
    """The stages and all that they rest on, each once, upstream first; what is above one is left out unless `into`."""
    seen: dict[tuple[str, str], AnyStage] = {}

    def visit(part: AnyStage) -> None:
        name = (part.stage(), part.entry.name)
        if name in seen or not into(part):
            return
        for above in part.above.values():
            visit(above)
        seen[name] = part

    for stage in stages:
        visit(stage)
    return list(seen.values())


def missing(*stages: AnyStage) -> list[AnyStage]:
    """What will run, each once: what is above a finished stage is not asked for, even where it is gone."""
    return walk(*stages, into=lambda part: not part.complete())


def every_entry() -> dict[str, tuple[Entry, Manifest]]:
    """Key → entry, of all finished ones of all data sets."""
    folders = [folder for folder in sorted(outputs_folder().glob("[!.]*")) if folder.is_dir()]
    return {manifest["key"]: (entry, manifest) for folder in folders for entry, manifest in cache.entries(folder)}


def resting_on(keys: Iterable[str], entries: dict[str, tuple[Entry, Manifest]]) -> set[str]:
    """The keys, and those of all entries that were made from them."""
    below: dict[str, list[str]] = {}
    for key, (_, manifest) in entries.items():
        for above in manifest["upstream"].values():
            below.setdefault(above, []).append(key)
    return _reached(keys, below)


def rested_on(keys: Iterable[str], entries: dict[str, tuple[Entry, Manifest]]) -> set[str]:
    """The keys, and those of all entries that they were made from."""
    return _reached(keys, {key: list(manifest["upstream"].values()) for key, (_, manifest) in entries.items()})


def _reached(keys: Iterable[str], following: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(keys)
    while todo:
        key = todo.pop()
        if key not in found:
            found.add(key)
            todo += following.get(key, [])
    return found
