"""What must be the same wherever a stage is computed: this project, Python, and the libraries that decide bytes."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Mapping

from tasks.core import provenance
from tasks.core.errors import StageError
from tasks.core.settings_file import ROOT

_PACKAGES = ("tasks", "pipeline", "models")


@functools.cache
def versions() -> dict[str, str]:
    """By name; of the project the checksum of its code."""
    code = {"this project": _checksum(), "Python": platform.python_version()}
    return {**code, **provenance.package_versions()}


def _checksum() -> str:
    total = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()[:12]


def refuse_others(wanted: Mapping[str, str], there: Mapping[str, str], worker: str) -> None:
    """One sentence about a worker that would compute with something else."""
    differing = [name for name, version in wanted.items() if there.get(name) != version]
    if differing:
        told = ", ".join(f"{name} {there.get(name, 'missing')} instead of {wanted[name]}" for name in differing)
        raise StageError(f"{worker} has {told}; give it the same environment, and run the same command again")


def me() -> str:
    """This worker, as a sentence names it."""
    return f"the worker {os.uname().nodename} (process {os.getpid()})"
