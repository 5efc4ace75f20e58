"""Which pixels are dark: multi-Otsu in overlapping windows, and every window must agree.

In a window of uint8 values with minimum m and range R, d = grey − m is an integer, so everything that
scikit-image does with the normalised values d/R can be said in whole numbers:

    bin of d             ⌊256·d / R⌋, the last bin closed    (numpy.histogram, 256 bins on [0, 1])
    d/R < centre of k    512·d < (2k + 1)·R                  (the centre of bin k is (2k + 1)/512)

A window thus reduces to one limit: dark is grey < limit, and the AND of windows is grey < their least limit.
Only occupied bins are visited: a cut in an empty bin scores like the one before it, and the first one wins.
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.ops.counts import compiled
from pipeline.ops.types import Grey, Mask
from pipeline.ops.windows import pad_to_multiple, pad_to_windows, window_starts

Floats: TypeAlias = npt.NDArray[np.float32]
Counts: TypeAlias = npt.NDArray[np.int32]


class _Bins(NamedTuple):
    """The occupied bins of a window, darkest first, and what Otsu's criterion needs of them."""

    place: Counts  # 0 to 255
    zeroth: Floats  # Σ p up to and with this bin
    first: Floats  # Σ place·p
    head: Floats  # criterion of the class that ends here
    tail: Floats  # criterion of the class that starts after here
    best: Floats  # best criterion of any pair of cuts whose second cut is here
    cut: Counts  # and its first cut


def local_multi_otsu(grey: Grey, *, window_px: int, stride_px: int, classes: int) -> Mask:
    """True where every window that covers the pixel puts it below the lowest multi-Otsu threshold.

    Windows lie every `stride_px`. The image is mirrored at the bottom and right to a multiple of `window_px`,
    and further to a whole stride where the stride does not divide the rest, so that each pixel has a window.

    Each window is normalised from its minimum to its maximum and cut into 2 or 3 `classes` over 256 bins, bit
    for bit like `skimage.filters.threshold_multiotsu`; a pixel is dark when its normalised value is < k1, the
    centre of the bin that ends the first class. Where that is undefined: a window with one grey level has no
    crack; of two levels, the darker one is dark.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2:
        raise ValueError(f"an image of {grey.dtype}, shape {grey.shape}; uint8 H×W is needed")
    if classes not in (2, 3):
        raise ValueError(f"{classes} classes; 2 or 3")
    padded = pad_to_windows(pad_to_multiple(grey, window_px), window_px, stride_px)
    limits = _least_limits(padded, window_px, stride_px, math.gcd(window_px, stride_px), classes)
    return np.asarray(grey < limits[: grey.shape[0], : grey.shape[1]])


@compiled
def _least_limits(grey: Grey, window_px: int, stride_px: int, strip_px: int, classes: int) -> Grey:
    """For every pixel the least limit of the windows that cover it; windows must reach the border exactly.

    Histograms slide: vertical strips as high as a window gain and lose `stride_px` rows per step down, a
    window gains and loses whole strips per step right. `strip_px` divides window and stride.
    """
    height, width = grey.shape
    strips = np.zeros((width // strip_px, 256), np.int32)
    limits = np.full(grey.shape, 255, np.uint8)
    for top in range(0, height - window_px + 1, stride_px):
        bottom = top + window_px
        if top == 0:
            _count(strips, grey[:bottom], strip_px, 1)
        else:
            _count(strips, grey[top - stride_px : top], strip_px, -1)
            _count(strips, grey[bottom - stride_px : bottom], strip_px, 1)
        row_limits = _limits_of_row(strips, window_px, stride_px, strip_px, classes)
        for row in range(top, bottom):
            for col in range(width):
                limits[row, col] = min(limits[row, col], row_limits[col])
    return limits


@compiled
def _count(strips: Counts, rows: Grey, strip_px: int, step: int) -> None:
    """Add `step` to the strips' histograms for every pixel of the rows."""
    for row in range(rows.shape[0]):
        for strip in range(strips.shape[0]):
            for col in range(strip * strip_px, (strip + 1) * strip_px):
                strips[strip, rows[row, col]] += step


@compiled
def _limits_of_row(strips: Counts, window_px: int, stride_px: int, strip_px: int, classes: int) -> Grey:
    """Slide one row of windows over the strips: per column the least limit of the windows that cover it."""
    width = strips.shape[0] * strip_px
    histogram = np.zeros(256, np.int32)
    bins = _empty_bins()
    limits = np.full(width, 255, np.uint8)
    for left in range(0, width - window_px + 1, stride_px):
        entering = 0 if left == 0 else left + window_px - stride_px
        for strip in range(entering // strip_px, (left + window_px) // strip_px):
            histogram += strips[strip]
        for strip in range(max(left - stride_px, 0) // strip_px, left // strip_px):
            histogram -= strips[strip]
        limit = np.uint8(_limit(histogram, window_px * window_px, classes, bins))
        for col in range(left, left + window_px):
            limits[col] = min(limits[col], limit)
    return limits


@compiled
def _empty_bins() -> _Bins:
    """Room for 256 bins, to be filled anew for each window."""
    floats = np.zeros((5, 256), np.float32)
    whole = np.zeros((2, 256), np.int32)
    return _Bins(whole[0], floats[0], floats[1], floats[2], floats[3], floats[4], whole[1])


@compiled
def _limit(histogram: Counts, pixels: int, classes: int, bins: _Bins) -> int:
    """The least grey value that is not dark in a window of this histogram; 0 when none is dark."""
    low, high, levels = 255, 0, 0
    for value in range(256):
        if histogram[value]:
            low, high, levels = min(low, value), value, levels + 1
    if levels == 1:
        return 0
    if levels <= classes:  # two levels: our rule; as many levels as classes: scikit-image cuts between all
        return low + 1
    count = _fill(bins, histogram, pixels, low, high)
    cut = _best_of_two(bins, count) if classes == 2 else _best_of_three(bins, count)
    return int(low + ((2 * bins.place[cut] + 1) * (high - low) + 511) // 512)


@compiled
def _fill(bins: _Bins, histogram: Counts, pixels: int, low: int, high: int) -> int:
    """Fill in the occupied bins, and bin 1 even when it is empty; return how many there are.

    In float32 and in scikit-image's order, with its quirks: bin 0 weighs like bin 1, and a first class of
    bin 0 alone scores 0, so that a cut after an empty bin 1 beats the cut before it.
    """
    zeroth, first, count = np.float32(0), np.float32(0), 0
    for value in range(low, high + 1):
        place = min(256 * (value - low) // (high - low), 255)
        if value == low + 1 and (place > 1 or histogram[value] == 0):
            bins.place[count], bins.zeroth[count], bins.first[count] = 1, zeroth, first
            count += 1
        if histogram[value]:
            share = np.float32(np.float64(histogram[value]) / np.float64(pixels))
            zeroth += share
            first += np.float32(max(place, 1)) * share
            bins.place[count], bins.zeroth[count], bins.first[count] = place, zeroth, first
            count += 1
    for cut in range(count - 1):
        bins.head[cut] = _criterion(first=bins.first[cut], zeroth=bins.zeroth[cut])
        bins.tail[cut] = _criterion(first=first - bins.first[cut], zeroth=zeroth - bins.zeroth[cut])
    bins.head[0] = 0
    return count


@compiled
def _criterion(first: np.float32, zeroth: np.float32) -> np.float32:
    """Otsu's criterion of one class, (Σ place·p)² / Σ p; the classes' sum is to be as large as possible."""
    return first * first / zeroth if zeroth > 0 else np.float32(0)


@compiled
def _best_of_two(bins: _Bins, count: int) -> int:
    """The first cut with the largest criterion."""
    return int(np.argmax(bins.head[: count - 1] + bins.tail[: count - 1]))


@compiled
def _best_of_three(bins: _Bins, count: int) -> int:
    """The first of two cuts with the largest criterion, the earliest if several; the middle may be empty.

    The inner loop, where the time goes, has no branch: it compiles to vector instructions.
    """
    best_score, best_cut = np.float32(0), 0
    bins.best[:count] = 0
    for cut in range(count - 1):
        if bins.place[cut] + 1 < bins.place[cut + 1] and bins.head[cut] + bins.tail[cut] > best_score:
            best_score, best_cut = bins.head[cut] + bins.tail[cut], cut  # both cuts before the same bin
        zeroth, first = bins.zeroth[cut + 1 : count - 1], bins.first[cut + 1 : count - 1]
        tail, best = bins.tail[cut + 1 : count - 1], bins.best[cut + 1 : count - 1]
        cuts = bins.cut[cut + 1 : count - 1]
        for second in range(zeroth.size):
            middle = _criterion(first=first[second] - bins.first[cut], zeroth=zeroth[second] - bins.zeroth[cut])
            score = bins.head[cut] + tail[second] + middle
            better = score > best[second]
            best[second] = score if better else best[second]
            cuts[second] = cut if better else cuts[second]
    for second in range(1, count - 1):
        score, cut = bins.best[second], bins.cut[second]
        if score > best_score or (score == best_score and cut < best_cut):
            best_score, best_cut = score, cut
    return int(best_cut)


def plain_local_multi_otsu(grey: Grey, *, window_px: int, stride_px: int, classes: int) -> Mask:
    """The definition as a loop, with scikit-image: `local_multi_otsu` must equal it bit for bit.

    For tests and benchmarks, a hundred times too slow for work.
    """
    padded = pad_to_windows(pad_to_multiple(grey, window_px), window_px, stride_px)
    mask = np.ones(padded.shape, bool)
    for top in window_starts(padded.shape[0], window_px, stride_px):
        for left in window_starts(padded.shape[1], window_px, stride_px):
            place = np.s_[top : top + window_px, left : left + window_px]
            mask[place] &= plain_dark(padded[place], classes)
    return mask[: grey.shape[0], : grey.shape[1]]


def plain_dark(window: Grey, classes: int) -> npt.NDArray[np.bool_]:
    """The dark pixels of one window; of two levels the darker one, of one level nothing."""
    from skimage.filters import threshold_multiotsu  # slow to import, and only needed here

    levels = np.unique(window)
    if levels.size < 3:
        return np.asarray(window < levels[-1])
    normalised = (window.astype(np.float64) - levels[0]) / float(levels[-1] - levels[0])
    return np.asarray(normalised < threshold_multiotsu(normalised, classes=classes, nbins=256)[0])  # type: ignore[no-untyped-call]
