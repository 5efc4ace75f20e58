"""What makes one picture many: the 8-fold geometry on arrays, the photometric noise on batches."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.knobs import PhotometricKnobs

if TYPE_CHECKING:  # the geometry serves stages that need no torch, and tensors bring their own methods
    from torch import Generator, Tensor

Scalar = TypeVar("Scalar", bound=np.generic)

GEOMETRIES = 8
HORIZONTAL, VERTICAL, QUARTER = 1, 2, 4  # bits of a geometry's code: flips, then the rotation by 90°

LUMA = (0.299, 0.587, 0.114)
YIQ = np.array([LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)])
# d/dθ of the rotation of hues at θ = 0: Y stays, I and Q turn into each other.
HUE_TURN = np.linalg.inv(YIQ) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ YIQ


@dataclass(frozen=True, eq=False)
class PatchIndex:
    """Patches of images, one per row; no pixel is copied. Row and column are those of the turned image."""

    image: npt.NDArray[np.int32]  # position in the list of images
    geometry: npt.NDArray[np.uint8]  # code of `turn`
    row: npt.NDArray[np.int32]
    col: npt.NDArray[np.int32]
    label: npt.NDArray[np.uint8]  # 1 = crack

    def __len__(self) -> int:
        return len(self.label)


def turn(array_hw: npt.NDArray[Scalar], code: int) -> npt.NDArray[Scalar]:
    """A view of H×W[×C], rotated by 90° against the clock if bit 2 is set, then flipped.

    Bit 0 flips left and right, bit 1 top and bottom; code 0 is the array itself. The eight codes are the
    eight symmetries of the square.
    """
    if not 0 <= code < GEOMETRIES:
        raise ValueError(f"geometry {code}; allowed: 0 to {GEOMETRIES - 1}")
    turned = np.rot90(array_hw) if code & QUARTER else array_hw
    rows = slice(None, None, -1 if code & VERTICAL else 1)
    cols = slice(None, None, -1 if code & HORIZONTAL else 1)
    return turned[rows, cols]


def cut_patch(array_hw: npt.NDArray[Scalar], geometry: int, row: int, col: int, patch_px: int) -> npt.NDArray[Scalar]:
    """The square from (row, col) of the turned array, mirrored beyond the bottom and right border.

    The same as turning, padding with numpy's "reflect" and slicing, without the padded array.
    """
    turned = turn(array_hw, geometry)
    height, width = turned.shape[:2]
    if row + patch_px <= height and col + patch_px <= width:
        return turned[row : row + patch_px, col : col + patch_px]
    return turned[np.ix_(_mirrored(row, patch_px, height), _mirrored(col, patch_px, width))]


def _mirrored(start: int, count: int, length: int) -> npt.NDArray[np.intp]:
    """0, 1, …, n−1, n−2, …, 1, 0, 1, … from `start`: the border pixel is not repeated."""
    period = max(2 * (length - 1), 1)
    index = np.arange(start, start + count) % period
    return np.minimum(index, period - index) if length > 1 else np.zeros(count, np.intp)


def photometric(batch: Tensor, knobs: PhotometricKnobs, generator: Generator) -> Tensor:
    """Colour jitter, then noise, on N×C×H×W in [0, 1], RGB first, clipped to it; each image draws its own amounts.

    The generator lives on the batch's device. A knob of 0 leaves its part out. The batch given stays. Channels
    after the third, such as edges, are no colours: they pass as they are, and the colours draw what they draw alone.
    """
    if batch.shape[1] > 3:
        altered = batch.clone()
        altered[:, :3] = photometric(batch[:, :3], knobs, generator)
        return altered
    if knobs.jitter_probability and (knobs.brightness or knobs.contrast or knobs.saturation or knobs.hue):
        batch = _jitter(batch, knobs, generator)
    if knobs.noise_probability:
        batch = _noise(batch, knobs, generator)
    return batch.clamp(0, 1)


def _uniform(batch: Tensor, low: float, high: float, generator: Generator) -> Tensor:
    """One number for each image, N×1×1."""
    return batch.new_empty((len(batch), 1, 1)).uniform_(low, high, generator=generator)


def _jitter(batch: Tensor, knobs: PhotometricKnobs, generator: Generator) -> Tensor:
    """x ← H S (c b x + (1 − c) b m): brightness b, contrast c about the mean luma m, saturation S, hue H.

    All four are affine in RGB, so an image needs one 3×3 matrix and one offset, and is clipped once. Factors
    are uniform in 1 ± knob; the hue turns by up to ± knob of the full circle, in YIQ.
    """
    chosen = (_uniform(batch, 0, 1, generator) < knobs.jitter_probability).to(batch.dtype)
    brightness, contrast, saturation, hue = (
        chosen * _uniform(batch, -amount, amount, generator)
        for amount in (knobs.brightness, knobs.contrast, knobs.saturation, knobs.hue)
    )
    luma = batch.new_tensor(LUMA)
    identity = batch.new_tensor(np.eye(3).tolist())
    chroma = identity - luma.expand(3, 3)  # takes the grey out of a colour
    angle = 2 * math.pi * hue
    turned = identity + (angle.cos() - 1) * chroma + angle.sin() * batch.new_tensor(HUE_TURN.tolist())
    matrix = turned @ (identity + saturation * chroma)
    mean_luma = (batch.mean(dim=(2, 3)) @ luma).view(-1, 1, 1)
    offset = -contrast * (1 + brightness) * mean_luma  # grey: saturation and hue leave it as it is
    pixels = offset.expand(-1, 3, 1).baddbmm((1 + contrast) * (1 + brightness) * matrix, batch.flatten(2))
    return pixels.view(batch.shape)


def _noise(batch: Tensor, knobs: PhotometricKnobs, generator: Generator) -> Tensor:
    """Of each image: Gaussian noise of its own σ, or one factor on all its pixels, or neither."""
    lot = _uniform(batch, 0, 1, generator)
    sigma = _uniform(batch, 0, knobs.additive_sigma, generator)
    factor = _uniform(batch, knobs.multiplicative_low, knobs.multiplicative_high, generator)
    additive = lot < knobs.noise_probability
    multiplied = ~additive & (lot < 2 * knobs.noise_probability)
    batch = batch * factor.where(multiplied, 1.0).unsqueeze(-1)
    rows = additive.flatten().nonzero().flatten()
    grain = batch.new_empty((len(rows), *batch.shape[1:])).normal_(generator=generator)
    return batch.index_add(0, rows, grain * sigma[rows].unsqueeze(-1))
