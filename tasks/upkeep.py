"""Plan, Compare, Invalidate, Verify, Gc: what is cached, what would run and why, what can go."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import luigi

from tasks import cache, files, settings
from tasks.base import Stage, manifests, snake
from tasks.cache import Entry
from tasks.errors import HairlineError, SettingsError, StageError, nearest
from tasks.run_all import Question
from tasks.tables import Tables, walk


class Upkeep(Question):
    """A question about the cached entries of one data set."""

    def stages(self) -> list[Stage]:
        """Every stage of the experiment, upstream first."""
        return walk(self.sibling(Tables))

    def entries(self) -> Iterable[Entry]:
        """All finished entries of the data set, whatever settings made them."""
        for folder in sorted(settings.outputs_folder().glob(f"*/{self.dataset}-*")):
            if folder.is_dir() and not folder.parent.name.startswith(".") and folder.parent.name != "tables":
                yield Entry(folder, _key_in(folder))


def _key_in(folder: Path) -> str:
    """The key that an entry's manifest states, or what its name shows of it."""
    try:
        return str(json.loads((folder / cache.MANIFEST).read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name.rsplit("-", 1)[-1]


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
        print(f"\n{len(stages) - len(waiting)} cached, {len(waiting)} to run", flush=True)


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
    changed = {part.stage(): None for name, part in stage.upstream().items() if before["upstream"].get(name) != part.key}
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


class Compare(Upkeep):
    """One row per cached configuration, with only the knobs that differ as columns."""

    def answer(self) -> None:
        import pandas as pd

        from pipeline.scores_to_tables import aligned

        rows = self._rows()
        if not rows:
            raise StageError(f"nothing of {self.dataset} is scored yet; run: luigi --module tasks RunAll --dataset {self.dataset}")
        table = pd.DataFrame(only_differing(rows)).fillna("")
        target = settings.outputs_folder() / "tables" / self.dataset / "compare.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_table(target, table)
        print(aligned(table, {str(name): str(name) for name in table.columns}))
        print(f"\n{len(table)} configurations: {target}", flush=True)

    def _rows(self) -> list[dict[str, Any]]:
        by_key = {
            manifest["key"]: manifest
            for folder in settings.outputs_folder().glob("[!.]*")
            if folder.is_dir()
            for manifest in manifests(folder)
        }
        scores = [m for m in by_key.values() if m["stage"] == "Scores" and m["dataset"] == self.dataset]
        return [configuration(manifest, by_key) for manifest in scores]


def configuration(scores: dict[str, Any], by_key: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a score rests on, as flat columns: results, axes, and `Stage.knob` of everything upstream."""
    entry = Entry(scores["entry"], scores["key"])
    summary = files.read_json(entry.checked("summary.json"))
    row: dict[str, Any] = {"key": scores["key"][: cache.KEY_CHARS]}
    knobs: dict[str, Any] = {}
    todo, seen = [scores], set()
    while todo:
        manifest = todo.pop()
        if manifest["key"] in seen:
            continue
        seen.add(manifest["key"])
        row |= {name: value for name, value in manifest["axes"].items() if value and name not in row}
        knobs |= {f"{manifest['stage']}.{name}": shown(value) for name, value in manifest["knobs"].items()}
        todo += [by_key[key] for key in manifest["upstream"].values() if key in by_key]
    return {**row, **{name: summary[name] for name in ("ods", "ois", "ap")}, **knobs}


def only_differing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drops the knob columns in which all rows that have them agree."""
    knobs = sorted({name for row in rows for name in row if "." in name})
    same = {name for name in knobs if len({row[name] for row in rows if name in row}) == 1}
    ordered = sorted(rows, key=lambda row: (row.get("split", ""), row.get("segmenter", ""), row.get("labels", ""), -row["ods"]))
    return [{name: value for name, value in row.items() if name not in same} for row in ordered]


class Invalidate(Upkeep):
    """Moves a stage's entry, and what was computed from it, to a trash folder; `--undo` moves the last batch back."""

    stage = luigi.Parameter(default="", positional=False, description="the stage whose entry is to be computed anew")
    undo = luigi.BoolParameter(default=False, positional=False, description="move the last batch back")

    def answer(self) -> None:
        if self.undo:
            self._undo()
            return
        names = {part.stage() for part in self.stages()}
        if self.stage not in names:
            raise SettingsError(f"--stage {self.stage!r} is no stage; {nearest(self.stage, names)}")
        moved = [part for part in self.stages() if part.entry.exists() and self._rests_on_it(part)]
        batch = _new_batch(settings.outputs_folder() / ".trash")
        for part in moved:
            if cache.is_locked(part.entry.folder):
                raise StageError(f"{part.entry.name} is being computed; wait for that run, then invalidate")
            target = batch / part.entry.folder.parent.name
            target.mkdir(parents=True, exist_ok=True)
            part.entry.folder.rename(target / part.entry.name)
            print(f"moved  {part.stage():<14} {part.entry.name}")
        print(f"{len(moved)} entries are in {batch}; undo: luigi --module tasks Invalidate --dataset {self.dataset} --undo")

    def _rests_on_it(self, part: Stage) -> bool:
        return any(above.stage() == self.stage for above in walk(part))

    def _undo(self) -> None:
        batches = sorted((settings.outputs_folder() / ".trash").glob("*"), key=lambda path: int(path.name))
        if not batches:
            raise StageError("the trash is empty; there is nothing to move back")
        for entry in sorted(batches[-1].glob("*/*")):
            target = settings.outputs_folder() / entry.parent.name / entry.name
            if target.exists():
                print(f"kept   {target} (computed anew meanwhile; the old one stays in {entry})")
                continue
            entry.rename(target)
            print(f"back   {target}")
        _remove_empty(batches[-1])


def _new_batch(trash: Path) -> Path:
    """Batches are counted, not dated: a wrong clock does no harm."""
    numbers = [int(path.name) for path in trash.glob("*") if path.name.isdigit()]
    batch = trash / f"{max(numbers, default=0) + 1:06d}"
    batch.mkdir(parents=True)
    return batch


def _remove_empty(folder: Path) -> None:
    for part in [*folder.glob("*"), folder]:
        if part.is_dir() and not any(part.iterdir()):
            part.rmdir()


class Verify(Upkeep):
    """Compares every cached file with its checksum; a damaged entry is moved aside, to be computed anew."""

    def answer(self) -> None:
        started, count, bad = time.monotonic(), 0, []
        for entry in self.entries():
            count += 1
            why = entry.damage() or ", ".join(f"{name} has another checksum" for name in entry.wrong_checksums())
            if why:
                bad.append(f"{entry.folder.parent.name}/{entry.name}: {why}; moved to {cache.set_aside(entry).name}")
        print(f"{count} entries of {self.dataset} read in {time.monotonic() - started:.1f} s, {len(bad)} damaged")
        if bad:
            raise StageError(
                "\n  ".join([f"{len(bad)} damaged entries; RunAll computes anew what is needed of them:", *bad])
            )


class Gc(Upkeep):
    """Removes what no current settings name: old entries, drafts, damaged copies, trash. Lists only, unless --apply."""

    apply = luigi.BoolParameter(default=False, positional=False, description="really remove")

    def answer(self) -> None:
        needed = self._needed()
        found = [(folder, why) for folder, why in self._candidates(needed) if not cache.is_locked(_entry_of(folder))]
        size = 0
        for folder, why in found:
            used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            size += used
            print(f"{'removed' if self.apply else 'would go'}  {used / 1e6:9.1f} MB  {folder.parent.name}/{folder.name}  {why}")
            if self.apply:
                shutil.rmtree(folder)
        end = "" if self.apply or not found else "; add --apply to remove them"
        print(f"{len(found)} folders, {size / 1e6:.1f} MB{end}", flush=True)

    def _needed(self) -> set[Path]:
        """The entries that RunAll of any data set would use, in its recipe as it stands and in its variants."""
        needed = {stage.entry.folder for stage in self.stages()}
        for name in settings.known("dataset"):
            try:
                variants = ["", *settings.variants(name, "")]
                for variant in variants:
                    needed |= {stage.entry.folder for stage in walk(Tables(dataset=name, variant=variant))}
            except HairlineError as error:
                if name == self.dataset:
                    raise
                print(f"note: {name} cannot be planned ({error}); its entries are not touched")
        return needed

    def _candidates(self, needed: set[Path]) -> Iterable[tuple[Path, str]]:
        outputs = settings.outputs_folder()
        for entry in self.entries():
            if entry.folder not in needed:
                yield entry.folder, "no current settings name it"
        for kind, why in ((".draft", "a run that was killed"), (".bad", "was damaged")):
            for folder in sorted(outputs.glob(f"*/{kind}-{self.dataset}-*")):
                yield folder, why
        for batch in sorted((outputs / ".trash").glob("*/*")):
            for folder in sorted(batch.glob(f"{self.dataset}-*")):
                yield folder, "in the trash"


def _entry_of(folder: Path) -> Path:
    """The entry whose lock guards a folder: a draft is guarded by the lock of what it is to become."""
    return folder.with_name(folder.name.removeprefix(".draft-"))
