"""The cache on disk: an entry is a folder that appears whole, by one rename, or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from tasks.core import files, locks, records, seen
from tasks.core.errors import StageError

MANIFEST, RECORDS = "manifest.json", "records.json"
MANY = 10_000  # files of an entry, from which on planning does not look at each
KEY_CHARS = 12


class Identity(TypedDict):
    """What decides an entry's bytes; its key is the checksum of this."""

    stage: str
    version: int
    axes: dict[str, str]
    knobs: dict[str, object]
    upstream: dict[str, str]  # role → key
    fingerprint: str


class Manifest(Identity):
    """What an entry says of itself."""

    key: str
    dataset: str
    upstream_entries: dict[str, str]  # role → folder/name
    result: str
    seconds: float
    created: str
    execution: dict[str, object]
    devices: list[str]  # on which what goes image by image was computed, of those that this run added
    argv: list[str]
    host: str
    python: str
    packages: dict[str, str]
    git: str
    files: dict[str, files.Record]


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted, without blanks, floats as Python prints them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def key_of(identity: Identity) -> str:
    return hashlib.sha256(canonical(identity).encode()).hexdigest()


def chaos(stage: str, point: str) -> None:
    """Kills this process at a named point when CHAOS says so; how the tests pull the plug."""
    if os.environ.get("CHAOS") == f"{stage}:{point}":
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Entry:
    """One cached artefact: `outputs/<stage>/<dataset>-<key>/`."""

    folder: Path
    key: str

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def manifest_path(self) -> Path:
        return self.folder / MANIFEST

    def manifest(self) -> Manifest:
        loaded: Manifest = json.loads(self.manifest_path.read_bytes())
        return loaded

    def records(self) -> dict[str, files.Record]:
        """What is known of every file; of very many it lies in a file of its own, which planning need not read."""
        found = self.manifest()["files"]
        if RECORDS not in found:
            return found
        told = json.loads((self.folder / RECORDS).read_bytes())
        return {**found, **{name: {"size": size, "sha256": sha256} for name, (size, sha256) in told.items()}}

    def damage(self, *, thoroughly: bool = False) -> str:
        """Why the entry cannot be used, '' when it can: manifest, key and all sizes are looked at; but of very many
        files only where files came or went since they were looked at, unless `thoroughly`."""
        try:
            manifest = self.manifest()
            if manifest["key"] != self.key:
                return "its manifest is for another key"
            many = RECORDS in manifest["files"]
            if many and not thoroughly and seen.is_as_seen(self.folder):
                return ""
            sizes = {name: int(record["size"]) for name, record in self.records().items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return "its manifest cannot be read"
        for name, size in sizes.items():
            try:
                found = (self.folder / name).stat().st_size
            except OSError:
                return f"{name} is missing"
            if found != size:
                return f"{name} has {found} bytes instead of {size}"
        if many:
            seen.remember(self.folder)
        return ""

    def exists(self) -> bool:
        return self.folder.is_dir()

    def is_complete(self) -> bool:
        return self.exists() and not self.damage()

    def wrong_checksums(self) -> list[str]:
        """Names of the files whose content is not what was written."""
        records = self.records()
        return [name for name, record in records.items() if files.sha256(self.folder / name) != record["sha256"]]

    def checked(self, name: str) -> Path:
        """The path of a file of this entry after comparing its checksum; a damaged entry is moved aside."""
        path = self.folder / name
        record = self.records().get(name)
        if record is None:
            raise StageError(f"{self.folder} has no file {name}; run the same command again after Invalidate")
        if files.sha256(path) != record["sha256"]:
            aside = set_aside(self)
            raise StageError(f"{path} is damaged; it was moved to {aside}: run the same command again")
        return path


def set_aside(entry: Entry) -> Path:
    """Moves a damaged entry to `.bad-…` beside it, so that it is computed anew and can still be looked at."""
    for number in range(1, 10_000):
        target = entry.folder.with_name(f".bad-{entry.name}-{number}")
        if not target.exists():
            entry.folder.rename(target)
            return target
    raise StageError(f"too many damaged copies of {entry.folder}; remove the .bad- folders (Gc --apply)")


@dataclass(frozen=True)
class Draft:
    """An entry in the making; each file in it appears whole, so that a killed stage can go on."""

    folder: Path
    entry: Entry
    stage: str
    known: dict[str, files.Record] = field(default_factory=dict)  # of files, from those who wrote them
    devices: set[str] = field(default_factory=set)  # on which they were computed

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def commit(self, manifest: Manifest) -> None:
        """Manifest last, everything flushed, one rename, parent flushed."""
        chaos(self.stage, "before-manifest")
        manifest["devices"] = sorted(self.devices)
        manifest["files"] = records.flushed(self.folder, self.known)
        if len(manifest["files"]) > MANY:
            told = {name: [record["size"], record["sha256"]] for name, record in manifest["files"].items()}
            files.write_text(self.folder / RECORDS, canonical(told))
            manifest["files"] = {RECORDS: records.flushed_record(self.folder / RECORDS)}
        files.write_json(self.folder / MANIFEST, manifest)
        files.flush(self.folder / MANIFEST)
        chaos(self.stage, "before-rename")
        try:
            self.folder.rename(self.entry.folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(self.folder)  # another process was first: its result is as good
        files.flush(self.entry.folder.parent)
        chaos(self.stage, "after-rename")


def entries(folder: Path) -> list[tuple[Entry, Manifest]]:
    """The readable entries of a stage's folder, oldest first."""
    found = []
    for path in sorted(folder.glob(f"[!.]*/{MANIFEST}")):
        try:
            manifest = Entry(path.parent, "").manifest()
            found.append((str(manifest["created"]), manifest["key"], Entry(path.parent, manifest["key"]), manifest))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged entry is Verify's business
    return [(entry, manifest) for _, _, entry, manifest in sorted(found, key=lambda item: item[:2])]


def open_draft(entry: Entry, stage: str, *, resumable: bool) -> Draft:
    """The entry's draft folder: kept from a killed run when the stage can go on from it, else empty."""
    folder = entry.folder.with_name(f".draft-{entry.name}{locks.own_name(entry.folder)}")
    if folder.exists() and not resumable:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.rglob(f"*{files.PARTIAL}"):
        leftover.unlink()
    for name in (MANIFEST, RECORDS):
        (folder / name).unlink(missing_ok=True)
    return Draft(folder, entry, stage)


def say_os_error(error: OSError, folder: Path, usual: int = 0) -> str:
    """One sentence for what the disk refused; `usual` bytes is what an entry of its kind takes."""
    place = error.filename or folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
        needed = max(usual, getattr(error, "needed", 0))
        told = f"needed about {needed / 1e6:.1f} MB more, " if needed else ""
        return f"no space left on {place}: {told}free {free / 1e6:.1f} MB; free some and run the same command again"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"cannot write to {place}; make it writable, or set HAIRLINE_OUTPUTS to a folder that is"
    return f"{place}: {error.strerror or error}; run the same command again when that is mended"


def check_writable(outputs: Path) -> None:
    """Fails before any computing when results could not be kept."""
    probe = outputs / f".probe-{os.getpid()}-{time.monotonic_ns()}"
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StageError(say_os_error(error, outputs)) from None
        raise StageError(
            f"cannot write to {outputs}/ ({error.strerror}); make it writable, or set HAIRLINE_OUTPUTS"
        ) from None
