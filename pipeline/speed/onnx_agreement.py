"""Whether a network written as ONNX says of real photos what it says here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from models.exporting import IMAGE, OPSET
from pipeline.learning.training import to_batch
from pipeline.ops.types import ImageRGB


@dataclass(frozen=True)
class Agreement:
    photos: int
    same: float  # share of all pixels whose mask is the same
    largest: float  # difference of two probabilities
    runtime: str

    def in_words(self) -> str:
        return (
            f"opset {OPSET}, onnxruntime {self.runtime}: on {self.photos} photos {self.same:.4%} of the pixels have "
            f"the same mask as with torch, and no probability differs by more than {self.largest:.2g}"
        )


def agreement(content: bytes, model: nn.Module, images: Iterable[ImageRGB], threshold: float) -> Agreement:
    """Each photo whole; raises a ValueError where the runtime cannot compute it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    photos = same = pixels = 0
    largest, cpu = 0.0, torch.device("cpu")
    for image in images:
        batch = to_batch(image[np.newaxis], cpu)
        with torch.no_grad():
            ours = model.eval()(batch)["logits"].sigmoid().numpy()
        try:
            (theirs,) = session.run(None, {IMAGE: batch.numpy()})
        except Exception as error:  # onnxruntime has errors of its own for every kind of trouble
            raise ValueError(f"onnxruntime cannot compute it ({str(error).splitlines()[0][:200]})") from None
        photos, pixels = photos + 1, pixels + ours.size
        same += int(np.count_nonzero((ours >= threshold) == (theirs >= threshold)))
        largest = max(largest, float(np.abs(ours - theirs).max()))
    return Agreement(photos, same / max(pixels, 1), largest, onnxruntime.__version__)
