"""Whether a network written as ONNX says of real photos what it says here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from models.exporting import IMAGE, OPSET
from models.parts.wrapper import starts
from pipeline.learning.training import to_batch
from pipeline.ops.types import ImageRGB, Map

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


@dataclass(frozen=True)
class Agreement:
    photos: int
    same: float  # share of all pixels whose mask is the same
    largest: float  # difference of two probabilities
    runtime: str
    tile_hw: tuple[int, int] | None  # of a network that takes one size only

    def in_words(self) -> str:
        tiles = "" if self.tile_hw is None else f", in tiles of {self.tile_hw[0]}×{self.tile_hw[1]} px"
        return (
            f"opset {OPSET}, onnxruntime {self.runtime}{tiles}: on {self.photos} photos {self.same:.4%} of the pixels "
            f"have the same mask as with torch, and no probability differs by more than {self.largest:.2g}"
        )


def agreement(content: bytes, model: nn.Module, images: Iterable[ImageRGB], threshold: float) -> Agreement:
    """Each photo whole, or in tiles where the network takes one size only; raises a ValueError where the runtime cannot
    compute it, or no photo is as large as a tile."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    height, width = session.get_inputs()[0].shape[-2:]
    tile_hw = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    photos = same = pixels = 0
    largest = 0.0
    for image in images:
        pieces = [image] if tile_hw is None else tiles_of(image, tile_hw)
        photos += bool(pieces)
        for piece in pieces:
            ours, theirs = both(session, model, piece)
            pixels += ours.size
            same += int(np.count_nonzero((ours >= threshold) == (theirs >= threshold)))
            largest = max(largest, float(np.abs(ours - theirs).max()))
    if tile_hw is not None and not photos:
        raise ValueError(f"no photo is as large as its tiles of {height}×{width} px; give larger photos to compare on")
    return Agreement(photos, same / max(pixels, 1), largest, onnxruntime.__version__, tile_hw)


def both(session: InferenceSession, model: nn.Module, image: ImageRGB) -> tuple[Map, Map]:
    """Torch's probabilities and the runtime's."""
    batch = to_batch(image[np.newaxis], torch.device("cpu"))
    with torch.no_grad():
        ours: Map = model.eval()(batch)["logits"].sigmoid().numpy()
    try:
        (theirs,) = session.run(None, {IMAGE: batch.numpy()})
    except Exception as error:  # onnxruntime has errors of its own for every kind of trouble
        raise ValueError(f"onnxruntime cannot compute it ({str(error).splitlines()[0][:200]})") from None
    return ours, theirs


def tiles_of(image: ImageRGB, tile_hw: tuple[int, int]) -> list[ImageRGB]:
    """The fewest that cover it; none of an image smaller than one."""
    height, width = tile_hw
    if image.shape[0] < height or image.shape[1] < width:
        return []
    corners = [(top, left) for top in starts(image.shape[0], height) for left in starts(image.shape[1], width)]
    return [image[top : top + height, left : left + width] for top, left in corners]
