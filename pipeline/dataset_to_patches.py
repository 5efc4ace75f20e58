"""Images with masks, or with one label each → the index of their patches, with a label for each patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.knobs import PatchesKnobs
from pipeline.learning.augmentation import GEOMETRIES, HORIZONTAL, QUARTER, VERTICAL, PatchIndex, cut_patch, turn
from pipeline.ops.types import Mask
from pipeline.ops.windows import pad_to_multiple, window_starts

__all__ = ["PatchIndex", "cut_patch", "drawn_answers", "index_patches"]

LARGEST_BAG_PX = 2048
Example = tuple[tuple[int, int], Mask | None, int | None]  # (height, width) of the image, mask, label
Rows = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.uint8]]  # row, col, label


def index_patches(examples: Iterable[Example], knobs: PatchesKnobs, *, eightfold: bool) -> PatchIndex:
    """Every patch of every image, in the order image, geometry, row, col.

    The image is turned, then mirrored at the bottom and right up to a multiple of the patch. A patch is crack
    when at least `min_crack_pixels` of its mask are; without a mask it has the image's label, 0 or 1. With
    `bag = "photo"` the only patch of a turned image is all of it.
    """
    columns: list[tuple[npt.NDArray[np.integer], ...]] = []
    for image, (shape_hw, mask, label) in enumerate(examples):
        _check(image, shape_hw, mask, label)
        for geometry in range(GEOMETRIES if eightfold else 1):
            row, col, labels = _patches(shape_hw, mask, label, geometry, knobs)
            columns.append((np.full(len(row), image), np.full(len(row), geometry), row, col, labels))
    kinds = (np.int32, np.uint8, np.int32, np.int32, np.uint8)
    joined = zip(*columns, strict=True) if columns else ((),) * len(kinds)
    return PatchIndex(*(np.concatenate([*part, []]).astype(kind) for part, kind in zip(joined, kinds, strict=True)))


def _patches(
    shape_hw: tuple[int, int], mask: Mask | None, label: int | None, geometry: int, knobs: PatchesKnobs
) -> Rows:
    """All patches of one turned image, row by row."""
    blank = np.broadcast_to(np.zeros(1, np.bool_), shape_hw)  # the shape alone, no memory
    size = knobs.patch_px
    if knobs.bag == "photo":
        answer = label if mask is None else int(np.count_nonzero(mask) >= knobs.min_crack_pixels)
        corner = np.zeros(1, np.intp)
        return corner, corner, np.full(1, answer, np.uint8)
    if mask is None:
        height, width = (-(-side // size) * size for side in turn(blank, geometry).shape)
    else:
        padded = pad_to_multiple(turn(mask, geometry), size)
        height, width = padded.shape
    starts = (window_starts(side, size, knobs.stride_px) for side in (height, width))
    row, col = (grid.ravel() for grid in np.meshgrid(*starts, indexing="ij"))
    if mask is None:
        return row, col, np.full(len(row), label, np.uint8)
    return row, col, (_sums(padded, row, col, size) >= knobs.min_crack_pixels).astype(np.uint8)


def drawn_answers(
    rows: PatchIndex, shapes_hw: Sequence[tuple[int, int]], knobs: PatchesKnobs, *, side_px: int
) -> PatchIndex:
    """`knobs.max_answers` of the patches that lie as photographed, drawn with the seed, each with its turned copies.

    A patch that is mirrored beyond the border of its image has no turned copies, since turned images are mirrored at
    another border.
    """
    plain = np.flatnonzero(rows.geometry == 0)
    if knobs.max_answers > len(plain):
        raise ValueError(
            f"[Patches] max_answers = {knobs.max_answers:,}; allowed: at most the {len(plain):,} there are, or 0"
        )
    chosen = np.random.default_rng(knobs.answers_seed).choice(plain, knobs.max_answers, replace=False)
    geometries = GEOMETRIES if (rows.geometry > 0).any() else 1
    found: list[tuple[int, int, int, int, int]] = []
    for place in np.sort(chosen):
        image, row, col, label = (int(each[place]) for each in (rows.image, rows.row, rows.col, rows.label))
        height, width = shapes_hw[image]
        inside = row + side_px <= height and col + side_px <= width
        for geometry in range(geometries if inside else 1):
            turned = turned_corner((height, width), (row, col), side_px, geometry) if geometry else (row, col)
            found.append((image, geometry, *turned, label))
    kinds = (np.int32, np.uint8, np.int32, np.int32, np.uint8)
    return PatchIndex(
        *(np.array(column).astype(kind) for column, kind in zip(zip(*found, strict=True), kinds, strict=True))
    )


def turned_corner(shape_hw: tuple[int, int], corner: tuple[int, int], side_px: int, geometry: int) -> tuple[int, int]:
    """Where the first pixel of a square of an image lies once both are turned."""
    (height, width), (row, col) = shape_hw, corner
    if geometry & QUARTER:
        row, col, height, width = width - side_px - col, row, width, height
    row = height - side_px - row if geometry & VERTICAL else row
    col = width - side_px - col if geometry & HORIZONTAL else col
    return row, col


def bag_side(shapes_hw: Iterable[tuple[int, int]], knobs: PatchesKnobs) -> int:
    """The side of the square that an answer is for: a patch's, or that of the largest photo, a multiple of 32 px."""
    if knobs.bag == "patch":
        return knobs.patch_px
    longest = max((max(shape) for shape in shapes_hw), default=0)
    if longest > LARGEST_BAG_PX:
        raise ValueError(
            f'[Patches] bag = "photo" with a photo of {longest:,} px; allowed: at most {LARGEST_BAG_PX:,} px, since '
            'it goes through the network whole; answer for tiles instead (bag = "patch")'
        )
    return -(-longest // 32) * 32


def _sums(mask: Mask, row: npt.NDArray[np.intp], col: npt.NDArray[np.intp], size_px: int) -> npt.NDArray[np.int64]:
    """Crack pixels of each square, from the integral image: four look-ups a patch, however they overlap."""
    integral = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    mask.cumsum(axis=0, dtype=np.int64).cumsum(axis=1, out=integral[1:, 1:])
    bottom, right = row + size_px, col + size_px
    sums: npt.NDArray[np.int64] = (
        integral[bottom, right] - integral[row, right] - integral[bottom, col] + integral[row, col]
    )
    return sums


def _check(image: int, shape_hw: tuple[int, int], mask: Mask | None, label: int | None) -> None:
    if mask is None and label not in (0, 1):
        raise ValueError(f"image {image} has no mask and the label {label!r}; a mask, or a label 0 or 1, is needed")
    if mask is not None and mask.shape != tuple(shape_hw):
        raise ValueError(f"image {image} is {shape_hw} and its mask {mask.shape}; they must have the same shape")
