"""Plan: what is cached, what would run, and why; runs nothing."""

from __future__ import annotations

from typing import Any

from tasks.core import cache
from tasks.core.provenance import manifests
from tasks.core.stage import Stage
from tasks.questions.upkeep import Upkeep
from tasks.reports.forecast import forecast_line
from tasks.tables import Tables


class Plan(Upkeep):
    """Says what is cached, what would run, and why; runs nothing."""

    def answer(self) -> None:
        stages = self.stages()
        waiting = [stage for stage in stages if not stage.complete()]
        for stage in stages:
            status = "RUN   " if stage in waiting else "cached"
            why = reason(stage, waiting) if stage in waiting else ""
            axes = " ".join(value for value in stage.axes.values() if value)
            print(f"{status}  {stage.stage():<14} {stage.entry.name:<28} {axes:<22} {why}".rstrip())
        print(f"\n{len(stages) - len(waiting)} cached, {len(waiting)} to run")
        tables = self.sibling(Tables)
        ahead = (tables.left_out(), forecast_line(tables))
        print("".join(f"{line}\n" for line in ahead if line), end="", flush=True)


def reason(stage: Stage, waiting: list[Stage]) -> str:
    """Why a stage would run: its damage, its changed knobs, its changed upstream, or that it never ran."""
    if stage.entry.exists():
        return f"damaged: {stage.entry.damage()}"
    before = latest_like(stage)
    if before is None:
        return "never computed"
    changes = differences(before["knobs"], stage.significant_knobs())
    if before["version"] != stage.version:
        changes.append(f"code version: {before['version']} -> {stage.version}")
    if before.get("fingerprint") != stage.fingerprint():
        changes.append("data changed")
    changed = {
        part.stage(): None for name, part in stage.upstream().items() if before["upstream"].get(name) != part.key
    }
    changes += [f"upstream {name} changed" for name in changed]
    missing = {part.stage(): None for part in stage.upstream().values() if part in waiting}
    return "; ".join(changes) or "; ".join(f"upstream {name} must run" for name in missing) or "its entry is gone"


def latest_like(stage: Stage) -> dict[str, Any] | None:
    """The manifest of the same stage, data set and axes that is nearest in knobs, the newest among equals."""
    axes = dict(stage.axes)
    found = [
        manifest
        for manifest in manifests(stage.entry.folder.parent)
        if manifest.get("dataset") == stage.dataset and manifest.get("axes") == axes
    ]
    return min(
        reversed(found),
        key=lambda manifest: len(differences(manifest["knobs"], stage.significant_knobs())),
        default=None,
    )


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """`name: old -> new` for every knob that differs."""
    names = sorted({*old, *new})
    return [
        f"{name}: {shown(old.get(name))} -> {shown(new.get(name))}"
        for name in names
        if cache.canonical(old.get(name)) != cache.canonical(new.get(name))
    ]


def shown(value: Any) -> str:
    return str(value) if not isinstance(value, (dict, list)) else cache.canonical(value)
