"""Where every image and every mask of every user is decoded, or refused in one sentence."""

from __future__ import annotations

import errno
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.knobs import DatasetKnobs
from pipeline.layouts.answered import Tile
from pipeline.layouts.on_disk import HEIF_SUFFIXES, IMAGE_SUFFIXES

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF")  # GIF only to say how many frames it has
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_MAT_CLASSES = (1, 2, 3, 4)  # of CrackForest: background, crack, enclosed background, faint crack
_EXIF_ORIENTATION = 274
_MAT_CRACK = (2, 4)  # as the paper's authors count them
_HOW_TO_READ = {
    errno.ENOENT: "there is no such file, or it is a link to nothing",
    errno.ELOOP: "a link that leads back to itself",
    errno.EACCES: "you may not read it",
}


class RefusedError(ValueError):
    """A file that cannot be used, in one sentence."""


def shown(path: Path | str) -> str:
    """A path on one line, whatever characters are in its name."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(path))


def load_image(path: Path, rules: DatasetKnobs, tile: Tile | None = None) -> NDArray[np.uint8]:
    """Any photo, or a part of it, as uint8 H×W×3 RGB, turned as its EXIF says; 16-bit grey is divided by 257, never
    clipped."""
    image = _opened(path, rules.max_pixels)
    if tile:
        if tile[2] > image.width or tile[3] > image.height:
            raise RefusedError(
                f"{shown(path)}: {image.width}×{image.height} pixels, but an answer is for {tile}; answer for it anew"
            )
        image = image.crop(tile)
    if image.mode in _SIXTEEN_BITS:
        return _from_sixteen_bits(path, np.asarray(image))
    if image.mode == "F":
        raise RefusedError(f"{shown(path)}: floating-point pixels without a known range; save it as 8 or 16 bits")
    if image.has_transparency_data:
        image = _without_transparency(path, image, rules)
    return np.array(_converted(path, image, "RGB"), dtype=np.uint8)  # a copy: Pillow's own buffer is read-only


def is_turned(path: Path) -> bool:
    """Whether its EXIF says that the camera was held another way."""
    from PIL import Image

    with Image.open(path) as image:
        return bool(image.getexif().get(_EXIF_ORIENTATION, 1) != 1)


def size_of(path: Path, rules: DatasetKnobs) -> tuple[int, int]:
    """Height and width, as its EXIF turns it."""
    image = _opened(path, rules.max_pixels)
    return image.height, image.width


def load_mask(
    path: Path, rules: DatasetKnobs, *, shape_hw: tuple[int, int], warn: Callable[[str], None]
) -> NDArray[np.bool_]:
    """Any mask as bool H×W, True for crack; it must have the size of its image."""
    if path.suffix.lower() == ".mat":
        mask = _mat_mask(path)
        _check_size(path, (mask.shape[0], mask.shape[1]), shape_hw)
    else:
        grey = _grey_mask(path, rules)
        _check_size(path, (grey.shape[0], grey.shape[1]), shape_hw)
        mask = _cut(path, grey, rules, warn)
    mask = ~mask if rules.mask_inverted else mask
    if mask.mean() > 0.5:
        warn(f"{shown(path)}: {mask.mean():.0%} of the pixels are crack; is the mask inverted?")
    return mask


def load_edges(path: Path, rules: DatasetKnobs, *, shape_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """An edge map as uint8 H×W, with the size of its image; whatever is not 8-bit grey is refused."""
    image = _opened(path, rules.max_pixels)
    if image.mode != "L":
        raise RefusedError(f"{shown(path)}: an edge map in mode {image.mode}; save it as an 8-bit grey PNG")
    edges = np.asarray(image, dtype=np.uint8)
    _check_size(path, edges.shape, shape_hw, "edge map")
    return edges


def grey_values(path: Path, rules: DatasetKnobs, what: str) -> NDArray[Any]:
    """The one channel of a picture as it lies there: uint8, uint16 or float32 H×W; colours are refused."""
    image = _opened(path, rules.max_pixels)
    if image.mode == "F":
        return np.array(image)
    if image.mode not in _SIXTEEN_BITS:
        return _one_channel(path, image, rules, what)
    values = np.array(image)
    if values.min() < 0 or values.max() > 65_535:
        raise RefusedError(f"{shown(path)}: values beyond 16 bits; save it as 8 or 16 bits")
    return values.astype(np.uint16)


def _check_regular(path: Path) -> None:
    """Refuses what is no regular file: a FIFO would hang, a dangling link would surprise later."""
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError(f"{shown(path)}: not a regular file; give an image file")
    if status.st_size == 0:
        raise RefusedError(f"{shown(path)}: empty file, not an image; copy it again or remove it")


def _unreadable(path: Path, error: OSError) -> RefusedError:
    why = _HOW_TO_READ.get(error.errno or 0, error.strerror or str(error))
    return RefusedError(f"{shown(path)}: {why}; give a readable file or remove it")


def _opened(path: Path, max_pixels: int) -> Image:
    """The whole image in memory, turned as its EXIF says; its size is looked at before anything is decoded."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    _check_regular(path)
    formats = (*_FORMATS, *_heif(path))
    Image.MAX_IMAGE_PIXELS = None  # the limit is the settings', just below
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which nothing here reads
            with Image.open(path, formats=formats) as image:
                _check_header(path, image, max_pixels)
                image.load()
                return ImageOps.exif_transpose(image)
    except RefusedError:
        raise
    except UnidentifiedImageError:
        raise RefusedError(f"{shown(path)}: not an image; allowed: {', '.join(IMAGE_SUFFIXES)}") from None
    except PermissionError as error:
        raise _unreadable(path, error) from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise nearly anything at damaged bytes
        raise RefusedError(f"{shown(path)}: truncated or damaged image ({error}); copy it again") from None


def _heif(path: Path) -> tuple[str, ...]:
    """HEIF among the formats, where the photo is one; its reader is an extra."""
    if path.suffix.lower() not in HEIF_SUFFIXES:
        return ()
    try:
        import pillow_heif
    except ImportError:
        raise RefusedError(
            f"{shown(path)}: HEIC is read with the extra: pip install 'hairline[heic]'; or save it as JPEG"
        ) from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _check_header(path: Path, image: Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise RefusedError(f"{shown(path)}: {width}×{height} pixels; allowed: [Dataset] max_pixels = {max_pixels}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # cameras put a preview behind the photo and call that MPO
        raise RefusedError(f"{shown(path)}: {frames} frames or pages; give a single image")


def _converted(path: Path, image: Image, mode: str) -> Image:
    try:
        return image.convert(mode)
    except ValueError as error:
        raise RefusedError(f"{shown(path)}: colours in mode {image.mode} ({error}); save it as RGB") from None


def _without_transparency(path: Path, image: Image, rules: DatasetKnobs) -> Image:
    from PIL import Image

    rgba = _converted(path, image, "RGBA")
    if np.asarray(rgba)[..., 3].min() == 255:
        return rgba
    if rules.transparent == "fail":
        raise RefusedError(
            f'{shown(path)}: has transparent pixels; save it without, or set [Dataset] transparent = "white"'
        )
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)


def _from_sixteen_bits(path: Path, values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.min() < 0 or values.max() > 65_535:
        raise RefusedError(f"{shown(path)}: values beyond 16 bits; save it as 8 or 16 bits")
    grey = np.rint(values / 257).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _check_size(path: Path, mask_hw: tuple[int, ...], shape_hw: tuple[int, int], what: str = "mask") -> None:
    if mask_hw != shape_hw:
        turned = " (does the photo carry an EXIF rotation?)" if mask_hw == shape_hw[::-1] else ""
        raise RefusedError(
            f"{shown(path)}: {what} of {mask_hw[1]}×{mask_hw[0]} for an image of {shape_hw[1]}×{shape_hw[0]}{turned}; "
            "both must have the same size"
        )


def _grey_mask(path: Path, rules: DatasetKnobs) -> NDArray[np.uint8]:
    """The mask's one channel, uint8 H×W."""
    image = _opened(path, rules.max_pixels)
    if image.mode in (*_SIXTEEN_BITS, "F"):
        raise RefusedError(f"{shown(path)}: a mask in mode {image.mode}; give an 8-bit one with 0 and 255")
    return _one_channel(path, image, rules)


def _one_channel(path: Path, image: Image, rules: DatasetKnobs, what: str = "mask") -> NDArray[np.uint8]:
    if image.has_transparency_data:
        image = _without_transparency(path, image, rules)
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    colours = np.asarray(_converted(path, image, "RGB"))
    if (colours != colours[..., :1]).any():
        raise RefusedError(f"{shown(path)}: a coloured {what}; give a grey one with 0 and 255")
    return colours[..., 0]


def _cut(path: Path, grey: NDArray[np.uint8], rules: DatasetKnobs, warn: Callable[[str], None]) -> NDArray[np.bool_]:
    """Values ≥ threshold, or 1 in a mask that only knows 0 and 1."""
    brightest = int(grey.max())
    if 0 < brightest < rules.mask_threshold and _is_jpeg(path):
        if grey.min() == brightest:  # black, as JPEG keeps it
            return np.zeros(grey.shape, dtype=np.bool_)
        if brightest == 1:
            raise RefusedError(f"{shown(path)}: a mask of 0 and 1 as JPEG, which blurs them; give 0 and 255, or a PNG")
    if brightest <= 1:
        return grey > 0
    if brightest < rules.mask_threshold:
        raise RefusedError(
            f"{shown(path)}: its brightest value is {brightest}, below [Dataset] mask_threshold = "
            f"{rules.mask_threshold}; give a mask with 0 and 255, or 0 and 1"
        )
    between = float(np.mean((grey > 0) & (grey < 255)))
    if between > rules.max_grey_share:
        raise RefusedError(
            f"{shown(path)}: {between:.1%} of the pixels are neither 0 nor 255; allowed: [Dataset] max_grey_share = "
            f"{rules.max_grey_share:g}"
        )
    if between > 0:
        warn(f"{shown(path)}: {between:.1%} of the pixels are neither 0 nor 255; cut at {rules.mask_threshold}")
    return grey >= rules.mask_threshold


def _is_jpeg(path: Path) -> bool:
    from PIL import Image

    with Image.open(path) as image:
        return image.format in ("JPEG", "MPO")


def _mat_mask(path: Path) -> NDArray[np.bool_]:
    """CrackForest's ground truth: struct `groundTruth`, field `Segmentation`."""
    from scipy.io import loadmat

    _check_regular(path)
    try:
        classes = np.asarray(loadmat(path)["groundTruth"][0, 0]["Segmentation"])
    except PermissionError as error:
        raise _unreadable(path, error) from None
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedError(
            f"{shown(path)}: no groundTruth with a Segmentation in it ({error}); copy it again"
        ) from None
    if classes.ndim != 2 or not np.isin(classes, _MAT_CLASSES).all():
        raise RefusedError(f"{shown(path)}: values other than 1, 2, 3 and 4 in its Segmentation; copy it again")
    return np.isin(classes, _MAT_CRACK)
