"""Plan: what is cached, what would run, and why; runs nothing."""

from __future__ import annotations

from pathlib import Path

from tasks.core import cache
from tasks.core.cache import Manifest
from tasks.core.settings import outputs_folder
from tasks.core.stage import AnyStage
from tasks.core.walk import missing
from tasks.questions.upkeep import TRASH, Upkeep
from tasks.reports.forecast import forecast_lines
from tasks.tables import Tables


class Plan(Upkeep):
    """Says what is cached, what would run, and why; runs nothing."""

    def planned(self) -> list[AnyStage]:
        return [self.sibling(Tables)]

    def answer(self) -> None:
        tables = self.sibling(Tables)
        waiting = missing(tables)
        gone = 0
        for stage in self.stages():
            status = "RUN   " if stage in waiting else "cached" if stage.complete() else "gone  "
            gone += status == "gone  "
            why = reason(stage, waiting) if stage in waiting else ""
            axes = " ".join(value for value in stage.axes.values() if value)
            print(f"{status}  {stage.stage():<14} {stage.entry.name:<28} {axes:<22} {why}".rstrip())
        not_asked = f", {gone} gone that nothing asks for, since what rests on them is there" if gone else ""
        print(f"\n{len(self.stages()) - len(waiting) - gone} cached, {len(waiting)} to run{not_asked}")
        print("".join(f"{line}\n" for line in (*tables.ahead(), *forecast_lines(tables))), end="", flush=True)


def reason(stage: AnyStage, waiting: list[AnyStage]) -> str:
    """Why a stage would run: its damage, its changed knobs, its changed upstream, or that it never ran."""
    if stage.entry.exists():
        return f"damaged: {stage.entry.damage()}"
    if any((outputs_folder() / TRASH).glob(f"*/{stage.entry.folder.parent.name}/{stage.entry.name}")):
        return "was invalidated"
    before = nearest_before(stage)
    if before is None:
        return "never computed"
    changes = differences(before["knobs"], stage.significant_knobs())
    if before["version"] != stage.meaning():
        changes.append(f"code version: {before['version']} -> {stage.meaning()}")
    if before["fingerprint"] != stage.fingerprint():
        changes.append("data changed")
    changes += _upstream_changes(before, stage)
    lacking = dict.fromkeys(f"upstream {part.stage()} must run" for part in stage.above.values() if part in waiting)
    return "; ".join(changes) or "; ".join(lacking) or "its entry is gone"


def _upstream_changes(before: Manifest, stage: AnyStage) -> list[str]:
    """What was made of other things than now, by the stages that are above; new roles by name."""
    old = before["upstream"]
    changed = [part.stage() for role, part in stage.above.items() if old.get(role, part.key) != part.key]
    added, dropped = (
        [role for role in stage.above if role not in old],
        [role for role in old if role not in stage.above],
    )
    told = [f"upstream {name} changed" for name in dict.fromkeys(changed)]
    return told + [f"new: {', '.join(added)}"] * bool(added) + [f"no more: {', '.join(dropped)}"] * bool(dropped)


def nearest_before(stage: AnyStage) -> Manifest | None:
    """The manifest of the same stage, data sets and axes that differs least, the newest among equals."""
    datasets = {role: part.dataset for role, part in stage.above.items()}

    def is_like(found: Manifest) -> bool:
        then = {role: Path(entry).name.rsplit("-", 1)[0] for role, entry in found["upstream_entries"].items()}
        same = all(then[role] == name for role, name in datasets.items() if role in then)
        return (found["dataset"], found["axes"]) == (stage.dataset, stage.axes) and same

    def distance(found: Manifest) -> int:
        return len(differences(found["knobs"], stage.significant_knobs())) + len(_upstream_changes(found, stage))

    entries = cache.entries(stage.entry.folder.parent)
    return min((found for _, found in reversed(entries) if is_like(found)), key=distance, default=None)


def differences(old: dict[str, object], new: dict[str, object]) -> list[str]:
    """`name: old -> new` for every knob that differs."""
    return [
        f"{name}: {shown(old.get(name))} -> {shown(new.get(name))}"
        for name in sorted({*old, *new})
        if cache.canonical(old.get(name)) != cache.canonical(new.get(name))
    ]


def shown(value: object) -> str:
    return str(value) if not isinstance(value, (dict, list)) else cache.canonical(value)
