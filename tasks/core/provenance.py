"""What made a result: names, versions, the commit, and the manifests that keep them."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

from tasks.core import cache, settings
from tasks.core.cache import Entry

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "opencv-python-headless",
    "scikit-image",
    "numba",
    "pydensecrf2",
    "grad-cam",
)


def snake(name: str) -> str:
    """ThresholdMaps → threshold_maps."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def manifests(folder: Path) -> list[dict[str, Any]]:
    """The readable manifests of all entries in a stage's folder, oldest first."""
    found = []
    for path in sorted(folder.glob(f"[!.]*/{cache.MANIFEST}")):
        entry = Entry(path.parent, "")
        try:
            manifest = entry.manifest()
            found.append((str(manifest["created"]), manifest["key"], {**manifest, "entry": path.parent}))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged entry is Verify's business
    return [manifest for _, _, manifest in sorted(found, key=lambda item: item[:2])]


def package_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed under this name"
    return versions


def git_commit() -> str:
    """The commit of the code, with a + when files differ from it; '' outside a git checkout."""
    git = ["git", "-C", str(settings.ROOT)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+" if changed.strip() else "")
