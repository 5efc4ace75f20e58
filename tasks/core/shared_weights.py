"""One file to share a network by: its weights, and in the header all that is needed to use and to judge it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import models
from pipeline.knobs import check, fields
from tasks.core import files
from tasks.core.errors import SettingsError

if TYPE_CHECKING:
    from torch import Tensor

_LENGTH_BYTES, _LONGEST_HEADER = 8, 10_000_000
_ABOUT = "about"


@dataclass(frozen=True)
class SharedWeights:
    """`about` says what it was trained on, by which recipe and commit, and under which licence its data are."""

    path: Path
    segmenter: str
    options: models.Options
    pixels: str
    about: Mapping[str, str]


def write_shared(
    path: Path,
    weights: Mapping[str, Tensor],
    segmenter: str,
    options: models.Options,
    pixels: str,
    about: Mapping[str, str],
) -> None:
    plain = json.dumps(dataclasses.asdict(options), sort_keys=True)
    told = {"segmenter": segmenter, "options": plain, "pixels": pixels, _ABOUT: json.dumps(dict(about), sort_keys=True)}
    files.write_weights(path, weights, told)


def read_shared(path: Path) -> SharedWeights:
    """The header alone is read, and nothing of it is believed; raises a SettingsError."""
    try:
        said = _header(path)
        segmenter, pixels = str(said["segmenter"]), str(said["pixels"])
        if segmenter not in models.SEGMENTERS:
            raise ValueError(f"its network {segmenter[:40]!r} is none of {', '.join(models.SEGMENTERS)}")
        if pixels not in get_args(models.Normalisation):
            raise ValueError(f"its pixels are {pixels[:40]!r}")
        about = json.loads(said.get(_ABOUT, "{}"))
        return SharedWeights(path, segmenter, _options(segmenter, said["options"]), pixels, about)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"no weights file of Export ({type(error).__name__}: {str(error)[:200]})"
    raise SettingsError(f"{path}: {why}; give a file that Export wrote")


def _header(path: Path) -> dict[str, str]:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= _LONGEST_HEADER:
            raise ValueError("its header has no believable length")
        said = json.loads(stream.read(length))["__metadata__"]
    if not all(isinstance(text, str) for text in said.values()):
        raise ValueError("its header holds more than texts")
    return dict(said)


def _options(segmenter: str, text: str) -> models.Options:
    """Each of its own type."""
    schema = models.options_class(segmenter)
    values: dict[str, files.Json] = json.loads(text)
    wanted = fields(schema)
    if values.keys() != wanted.keys():
        raise ValueError(f"its options are {', '.join(sorted(values))[:200]}; {segmenter} has {', '.join(wanted)}")
    return schema(**{name: check(kind, values[name]) for name, kind in wanted.items()})
