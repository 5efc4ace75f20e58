"""The starter: a small trained network that comes with the project, so that photos can be looked at before any answer.

It is one file of weights in half precision, which says itself what network it belongs to; `models/starter/card.md` says
what it was made of. The question Starter makes both anew.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.knobs.training import Pixel
from tasks.core.errors import StageError
from tasks.core.settings_file import ROOT

FOLDER = ROOT / "models" / "starter"
WEIGHTS, CARD = "weights.safetensors", "card.md"
_LENGTH_BYTES = 8  # of the number in front of a safetensors header


@dataclass(frozen=True)
class Shipped:
    segmenter: str
    options: dict[str, object]
    pixels: Pixel
    path: Path

    def about(self) -> dict[str, str]:
        """What its file says of it."""
        return {"segmenter": self.segmenter, "options": json.dumps(self.options, sort_keys=True), "pixels": self.pixels}


@functools.cache
def starter() -> Shipped:
    """Reads the header alone; the weights are loaded by whoever uses them."""
    path = FOLDER / WEIGHTS
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
            said = json.loads(stream.read(length))["__metadata__"]
        return Shipped(said["segmenter"], json.loads(said["options"]), said["pixels"], path)
    except (OSError, ValueError, KeyError) as error:
        raise StageError(
            f"{path} is no starter ({type(error).__name__}); get it back with git checkout {path}"
        ) from None
