"""What made a result: versions and the commit."""

from __future__ import annotations

import importlib.metadata
import subprocess

from tasks.core import settings

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
