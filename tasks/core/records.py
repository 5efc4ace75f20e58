"""What an entry knows of its files, gathered without reading again what their writers have told."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tasks.core import files
from tasks.core.files import Record

_FEW = 100  # files that are flushed one by one; of more, the whole file system is, which is far faster


def flushed(folder: Path, known: Mapping[str, Record]) -> dict[str, Record]:
    """The record of every file below a folder, in order; all are on the disk when this returns."""
    sizes = dict(_listed(folder, ""))
    sizes |= {name: (folder / name).stat().st_size for name in known.keys() - sizes.keys()}
    unknown = sorted(name for name, size in sizes.items() if name not in known or known[name]["size"] != size)
    with ThreadPoolExecutor() as threads:
        read = threads.map(lambda name: files.record(folder / name), unknown)
        found = {**{name: known[name] for name in sizes if name in known}, **dict(zip(unknown, read, strict=True))}
        if len(sizes) > _FEW:
            flush_all(folder)
        else:
            list(threads.map(lambda name: files.flush(folder / name), sizes))
    return {name: found[name] for name in sorted(found)}


def flushed_record(path: Path) -> Record:
    files.flush(path)
    return files.record(path)


def flush_all(folder: Path) -> None:
    """Everything that this machine has written to the file system of a folder."""
    system = ctypes.CDLL(None, use_errno=True)
    if not hasattr(system, "syncfs"):
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if system.syncfs(descriptor):
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(folder))
    finally:
        os.close(descriptor)


def _listed(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    """(name, size) of every whole file."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _listed(Path(entry.path), f"{prefix}{entry.name}/")
            elif not entry.name.endswith(files.PARTIAL):
                yield f"{prefix}{entry.name}", entry.stat().st_size
