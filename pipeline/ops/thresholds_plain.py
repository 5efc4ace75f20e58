"""Local multi-Otsu, window by window with scikit-image: what `pipeline.ops.thresholds` must equal, bit for bit."""

import numpy as np
import numpy.typing as npt
from skimage.filters import threshold_multiotsu

from pipeline.ops.types import Grey, Mask
from pipeline.ops.windows import pad_to_multiple, pad_to_windows, window_starts

BINS = 256  # scikit-image's own number


def plain_local_multi_otsu(grey: Grey, *, window_px: int, stride_px: int, classes: int) -> Mask:
    """The definition as a loop: for tests and benchmarks, a hundred times too slow for work."""
    padded = pad_to_windows(pad_to_multiple(grey, window_px), window_px, stride_px)
    mask = np.ones(padded.shape, bool)
    for top in window_starts(padded.shape[0], window_px, stride_px):
        for left in window_starts(padded.shape[1], window_px, stride_px):
            place = np.s_[top : top + window_px, left : left + window_px]
            mask[place] &= plain_dark(padded[place], classes)
    return mask[: grey.shape[0], : grey.shape[1]]


def plain_dark(window: Grey, classes: int) -> npt.NDArray[np.bool_]:
    """The dark pixels of one window; of two levels the darker one, of one level nothing."""
    levels = np.unique(window)
    if levels.size < 3:
        return np.asarray(window < levels[-1])
    normalised = (window.astype(np.float64) - levels[0]) / float(levels[-1] - levels[0])
    return np.asarray(normalised < threshold_multiotsu(normalised, classes=classes, nbins=BINS)[0])  # type: ignore[no-untyped-call]
