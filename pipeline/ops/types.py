"""Names for the arrays that travel between operations; the last axis of an image is its colour, red first."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ImageRGB: TypeAlias = npt.NDArray[np.uint8]  # H×W×3
Grey: TypeAlias = npt.NDArray[np.uint8]  # H×W
Mask: TypeAlias = npt.NDArray[np.bool_]  # H×W, True = crack
Map: TypeAlias = npt.NDArray[np.float32]  # H×W in [0, 1], 1 = crack
Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # H×W, whole numbers that stand for a Map
