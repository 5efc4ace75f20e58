"""A mask → lines of single pixels: two ways of thinning that are in use, which do not leave the same pixels.

`centreline` is Guo and Hall's of 1989, `skeleton` is Zhang and Suen's of 1984.
"""

import numpy as np
import numpy.typing as npt
from skimage.morphology import skeletonize

from pipeline.ops.counts import compiled
from pipeline.ops.types import Mask


def skeleton(mask: Mask) -> Mask:
    """That of skimage.morphology.skeletonize, which need not look at the image around the cracks."""
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    found = np.zeros_like(mask)
    if rows.size:
        part = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        found[part] = skeletonize(mask[part])  # type: ignore[no-untyped-call]
    return found


def centreline(mask: Mask) -> Mask:
    """Pixel by pixel what skimage.morphology.thin leaves, many times faster."""
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ValueError(f"a mask of {mask.dtype}, shape {mask.shape}; bool H×W is needed")
    padded = np.pad(mask, 1).view(np.uint8)
    _thin(padded.ravel(), np.flatnonzero(padded), padded.shape[1], _DELETABLE)
    return padded[1:-1, 1:-1].astype(np.bool_)


def _deletable() -> npt.NDArray[np.bool_]:
    """Whether a pixel goes in the first and in the second half of a round, by its neighbours.

    Bit k of the code is x_{k+1}: east, north-east, north … counter-clockwise to south-east.
    """
    x = [(np.arange(256) >> k) % 2 == 1 for k in range(8)]
    x.append(x[0])
    crossings = sum(~x[k] & (x[k + 1] | x[k + 2]) for k in (0, 2, 4, 6))
    pairs = [sum((x[k + first] | x[k + first + 1]).astype(int) for k in (0, 2, 4, 6)) for first in (0, 1)]
    fewest = np.minimum(*pairs)
    inner = (crossings == 1) & (fewest >= 2) & (fewest <= 3)
    east, west = (x[1] | x[2] | ~x[7]) & x[0], (x[5] | x[6] | ~x[3]) & x[4]
    return np.stack([inner & ~east, inner & ~west])


_DELETABLE = _deletable()


@compiled
def _thin(
    image: npt.NDArray[np.uint8], alive: npt.NDArray[np.intp], width: int, deletable: npt.NDArray[np.bool_]
) -> None:
    """In place; the pixels of each half of a round go all at once."""
    around = np.array([1, 1 - width, -width, -1 - width, -1, width - 1, width, width + 1])
    gone = np.empty(alive.size, np.intp)
    count, deleted = alive.size, 1
    while deleted:
        deleted = 0
        for half in range(2):
            left = going = 0
            for i in range(count):
                code = 0
                for k in range(8):
                    code += int(image[alive[i] + around[k]]) << k
                if deletable[half, code]:
                    gone[going] = alive[i]
                    going += 1
                else:
                    alive[left] = alive[i]
                    left += 1
            for i in range(going):
                image[gone[i]] = 0
            count, deleted = left, deleted + going
