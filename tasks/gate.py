"""The gate: every image and every mask of every user comes in here, or is refused in one sentence."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def regular(path: Path) -> None:
    """Refuses what is no regular file: a FIFO would hang, a dangling link would surprise later."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; give a readable image file") from None
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path}: not a regular file; give an image file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: empty file, not an image; copy it again or remove it")


@contextlib.contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError

    regular(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ValueError(f"{path}: {width}×{height} pixels; allowed: [Dataset] max_pixels = {max_pixels}")
            frames = getattr(image, "n_frames", 1)
            if frames > 1:
                raise ValueError(f"{path}: {frames} frames or pages; give a single image")
            image.load()
            yield image
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image; allowed: {', '.join(IMAGE_SUFFIXES)}") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path}: too many pixels; allowed: [Dataset] max_pixels = {max_pixels}") from None
    except (OSError, SyntaxError) as error:  # Pillow raises both for files cut short
        raise ValueError(f"{path}: truncated or damaged image ({error}); copy it again") from None


def load_image(path: Path, *, max_pixels: int) -> NDArray[np.uint8]:
    """Any photo as uint8 H×W×3 RGB, turned as its EXIF says; 16-bit grey is divided by 257, never clipped."""
    from PIL import ImageOps

    with _opened(path, max_pixels) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode in ("I;16", "I;16B", "I;16L", "I"):
            return _from_sixteen_bits(path, np.asarray(image))
        if image.mode == "F":
            raise ValueError(f"{path}: floating-point pixels without a known range; save it as 8 or 16 bits")
        if image.has_transparency_data:
            alpha = np.asarray(image.convert("RGBA"))[..., 3]
            if alpha.min() < 255:
                raise ValueError(f"{path}: has transparent pixels; save it without an alpha channel")
        return np.array(image.convert("RGB"), dtype=np.uint8)  # a copy: Pillow's own buffer is read-only


def _from_sixteen_bits(path: Path, values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.min() < 0 or values.max() > 65_535:
        raise ValueError(f"{path}: values beyond 16 bits; save it as 8 or 16 bits")
    grey = np.rint(values / 257).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def load_mask(
    path: Path,
    *,
    shape_hw: tuple[int, int],
    threshold: int,
    max_grey_share: float,
    max_pixels: int,
    warn: Callable[[str], None],
) -> NDArray[np.bool_]:
    """Any mask as bool H×W, True for crack: values ≥ threshold, or 1 in a mask that only knows 0 and 1."""
    with _opened(path, max_pixels) as image:
        grey = _one_channel(path, np.asarray(image.convert("RGB") if image.mode == "P" else image))
    if grey.shape != shape_hw:
        turned = " (does the photo carry an EXIF rotation?)" if grey.shape == shape_hw[::-1] else ""
        raise ValueError(
            f"{path}: mask of {grey.shape[1]}×{grey.shape[0]} for an image of {shape_hw[1]}×{shape_hw[0]}{turned}; "
            "both must have the same size"
        )
    if grey.max(initial=0) <= 1:
        return grey > 0
    between = float(np.mean((grey > 0) & (grey < 255)))
    if between > max_grey_share:
        raise ValueError(
            f"{path}: {between:.1%} of the pixels are neither 0 nor 255; allowed: [Dataset] max_grey_share"
        )
    mask: NDArray[np.bool_] = grey >= threshold
    if mask.mean() > 0.5:
        warn(f"{path}: {mask.mean():.0%} of the pixels are crack; is the mask inverted?")
    return mask


def _one_channel(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.ndim == 3:
        colours = pixels[..., :3] if pixels.shape[2] != 2 else pixels[..., :1]
        if (colours != colours[..., :1]).any():
            raise ValueError(f"{path}: a coloured mask; give a grey one with 0 and 255")
        return np.asarray(colours[..., 0])
    if pixels.dtype != np.uint8:
        raise ValueError(f"{path}: a mask of {pixels.dtype}; give an 8-bit one with 0 and 255")
    return pixels
