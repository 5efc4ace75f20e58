"""One file to share a network by: its weights, and in the header all that is needed to use and to judge it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import re
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
_LARGEST_OPTION, _LONGEST_TEXT = 4096, 100_000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
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
    """The version of Hairline is said in any case."""
    plain = json.dumps(dataclasses.asdict(options), sort_keys=True)
    said = json.dumps({"hairline": importlib.metadata.version("hairline"), **about}, sort_keys=True)
    told = {"segmenter": segmenter, "options": plain, "pixels": pixels, _ABOUT: said}
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
        about = _texts(json.loads(said.get(_ABOUT, "{}")))
        return SharedWeights(path, segmenter, _options(segmenter, said["options"]), pixels, about)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = f"no weights file of Export ({type(error).__name__}: {str(error)[:200]})"
    raise SettingsError(f"{path}: {why}; give a file that Export wrote")


def check_fit(shared: SharedWeights) -> None:
    """Compares the shapes in the header with those of its network, without making or loading either; raises a
    SettingsError."""
    import torch

    try:
        plain = {"encoder": "none"} if hasattr(shared.options, "encoder") else {}
        options = dataclasses.replace(shared.options, **plain)
        with torch.device("meta"):
            network = models.build_segmenter(shared.segmenter, options, pixels=shared.pixels)
        wanted = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
        given = {name: entry["shape"] for name, entry in _whole_header(shared.path).items() if name != "__metadata__"}
        wrong = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        wrong = [f"{type(error).__name__}"]
    if wrong:
        raise SettingsError(
            f"{shared.path}: its weights are not those of the {shared.segmenter} that it speaks of "
            f"({len(wrong)} differ, as {wrong[0][:60]!r}); give a file that Export wrote"
        )


def _whole_header(path: Path) -> dict[str, dict[str, files.Json]]:
    """Its tensors and "__metadata__"; the file has to be as long as they say."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= _LONGEST_HEADER:
            raise ValueError("its header has no believable length")
        header: dict[str, dict[str, files.Json]] = json.loads(stream.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if ends and path.stat().st_size != _LENGTH_BYTES + length + max(ends):
        raise ValueError("it is cut off, or has more behind its weights")
    return header


def _header(path: Path) -> dict[str, str]:
    return _texts(_whole_header(path)["__metadata__"])


def _texts(said: object) -> dict[str, str]:
    if not isinstance(said, dict) or not all(isinstance(text, str) for text in said.values()):
        raise ValueError("its header holds more than texts")
    if any(len(text) > _LONGEST_TEXT or _CONTROL.search(text) for pair in said.items() for text in pair):
        raise ValueError("a text in its header is too long, or holds characters that command a terminal")
    return said


def _options(segmenter: str, text: str) -> models.Options:
    """Each of its own type."""
    schema = models.options_class(segmenter)
    values: dict[str, files.Json] = json.loads(text)
    wanted = fields(schema)
    if values.keys() != wanted.keys():
        raise ValueError(f"its options are {', '.join(sorted(values))[:200]}; {segmenter} has {', '.join(wanted)}")
    numbers = [number for value in values.values() for number in (value if isinstance(value, list) else [value])]
    if any(isinstance(number, (int, float)) and not abs(number) <= _LARGEST_OPTION for number in numbers):
        raise ValueError(f"an option of it is larger than {_LARGEST_OPTION}, which no network needs")
    return schema(**{name: check(kind, values[name]) for name, kind in wanted.items()})
