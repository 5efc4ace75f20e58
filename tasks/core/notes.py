"""Small notes beside the cache, which save time and nothing else: a note that is lost or damaged is made anew."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from tasks.core import files
from tasks.core.settings import outputs_folder

Note = dict[str, list[object]]


def _path(name: str) -> Path:
    return outputs_folder() / ".fingerprints" / f"{name}.json"


def read(name: str) -> Note:
    """What was noted; nothing where there is no such note."""
    with contextlib.suppress(OSError, ValueError):
        loaded = json.loads(_path(name).read_bytes())
        return loaded if isinstance(loaded, dict) else {}
    return {}


def write(name: str, note: Note) -> None:
    with contextlib.suppress(OSError):  # only speed is lost; a stage that cannot write says so itself
        _path(name).parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(_path(name), json.dumps(note).encode())
