"""A network's probabilities and the photo → cracks with their lengths and widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from skimage.morphology import skeletonize

from pipeline.knobs.measuring import MeasuringKnobs
from pipeline.ops.centrelines import Chain, length_of, smoothed, tangents, way_to_the_end, without_spurs
from pipeline.ops.crack_widths import Blur, Fits, best_blur, centred, fitted, is_one_valley, profiles, running_median
from pipeline.ops.cracks import Along, Branch, Crack, Line, Reading
from pipeline.ops.types import Grey, Map, Mask

_GROUP_PX = 8  # profiles whose reaches fall into one step are read together
_P95 = 95.0
_SEEN = 0.35  # of a profile's samples, two a pixel: the widest crack that can be told from its surroundings
_OF_A_MEDIAN = 1.2533  # the error of a median of many, in those of a mean
_LIFT_P95 = 1.645  # standard deviations
_MAD = 1.4826  # a standard deviation, in median distances from the median


# of one reach: which points of a line, and the grey values across them
_Group: TypeAlias = tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]


def mask_of(probability: Map, knobs: MeasuringKnobs) -> Mask:
    """Where there is crack, without small holes, in pieces that are large enough to be one."""
    mask = _filled(probability >= knobs.threshold, knobs.hole_px)
    if knobs.min_pixels > 1 and mask.any():
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        large = stats[:, cv2.CC_STAT_AREA] >= knobs.min_pixels
        large[0] = False
        mask = large[pieces]
    return mask


def _filled(mask: Mask, hole_px: int) -> Mask:
    """A centreline would run round every hole."""
    if not hole_px or not mask.any():
        return mask
    _, pieces, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= hole_px
    small[0] = False  # the mask itself
    filled: Mask = mask | small[pieces]
    return filled


def cracks_of(probability: Map, grey: Grey, knobs: MeasuringKnobs) -> tuple[Mask, list[Crack]]:
    """The mask, and its pieces that are long enough to be called cracks, the longest first."""
    mask = mask_of(probability, knobs)
    if not mask.any():
        return mask, []
    count, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    rows, cols = np.nonzero(_thinned(mask))
    owner = pieces[rows, cols]
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(1, count + 1))
    found = []
    for number in range(1, count):
        here = order[starts[number - 1] : starts[number]]
        left, top, wide, high = (int(value) for value in stats[number, :4])
        corner = max(left - 1, 0), max(top - 1, 0)  # with what lies around it, or a straight piece would have no border
        mine = pieces[corner[1] : top + high + 1, corner[0] : left + wide + 1] == number
        skeleton = list(zip((rows[here] - corner[1]).tolist(), (cols[here] - corner[0]).tolist(), strict=True))
        piece = _Piece(mine, _half_widths(mine), corner, (left, top, left + wide, top + high), grey, knobs)
        part = slice(corner[1], top + high + 1), slice(corner[0], left + wide + 1)
        crack = piece.crack(skeleton, float(probability[part][mine].mean()))
        found += [crack] if crack else []
    return mask, sorted(found, key=lambda crack: (-crack.length, crack.box))


def _thinned(mask: Mask) -> Mask:
    thin: Mask = np.asarray(skeletonize(mask), np.bool_)  # type: ignore[no-untyped-call]
    return thin


def _half_widths(mask: Mask) -> npt.NDArray[np.float32]:
    """From a pixel's centre to the border of the mask, which lies half a pixel before the nearest pixel outside."""
    distances = np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    half: npt.NDArray[np.float32] = np.minimum(distances - np.float32(0.5), np.float32(max(mask.shape)))
    return half


@dataclass(frozen=True)
class _Read:
    """A branch whose profiles were looked at: its line in the photo, half of the mask's width, what was fitted."""

    line: Line
    half: Along
    widths: Along
    errors: Along


@dataclass(frozen=True)
class _Piece:
    """A connected piece of the mask, with a pixel around it where the photo has one."""

    mask: Mask
    half: npt.NDArray[np.float32]
    corner: tuple[int, int]  # left, top of these pixels
    box: tuple[int, int, int, int]  # of the piece itself
    grey: Grey  # of the whole photo
    knobs: MeasuringKnobs

    def crack(self, skeleton: Sequence[tuple[int, int]], probability: float) -> Crack | None:
        """None where it is too short to be one."""
        chains = without_spurs(skeleton, self._is_spur)
        lines = [smoothed(chain, self.knobs.smooth_points) + np.array(self.corner, np.float32) for chain in chains]
        read, blur = self._read(chains, lines)
        ways = [way for chain, line in zip(chains, lines, strict=True) for way in self._ways(chain, line)]
        length = self._length(read, ways)
        if length < self.knobs.min_length_px:
            return None
        return Crack(
            branches=tuple(Branch(each.line, each.widths, 2 * each.half) for each in read),
            length=length,
            **_readings(read, blur, self.knobs),
            mask_width=float(np.median(np.concatenate([2 * each.half for each in read]))),
            measurable=_share(read),
            orientation_deg=_orientation([each.line for each in read]),
            box=self.box,
            pixels=int(np.count_nonzero(self.mask)),
            probability=probability,
            at_border=any(cut for _, cut in ways),
        )

    def _is_spur(self, chain: Chain) -> bool:
        """Shorter than the mask is wide where it begins."""
        junction = chain.pixels[0] if chain.ends[1] else chain.pixels[-1]
        steps = np.array(chain.pixels, np.float64)
        return length_of(steps) < self.knobs.spur * 2 * float(self.half[junction])

    def _ways(self, chain: Chain, line: Line) -> list[tuple[float, bool]]:
        """For each free end of a chain how much further the mask goes, and whether the photo's border cuts it there."""
        ways = []
        tip = min(round(float(np.median(self._half_at(line)))), len(line) // 3)  # it may turn into a corner there
        for is_end, there in ((chain.ends[0], line[::-1]), (chain.ends[1], line)):
            if is_end and len(chain.pixels) > 1:
                inner = there[: len(there) - tip]
                direction = tangents(inner, 2 * self.knobs.smooth_points + tip)[-1]
                way, cut = self._further(inner - np.array(self.corner, np.float32), direction)
                ways.append((way - length_of(there[len(inner) - 1 :]), cut))
        return ways

    def _length(self, read: Sequence[_Read], ways: Sequence[tuple[float, bool]]) -> float:
        """Along the lines and on to the ends of the mask, which is as much too long as it is too wide."""
        length = sum(length_of(each.line) for each in read) + sum(way for way, _ in ways)
        widths = np.concatenate([each.widths for each in read])
        if not length or not np.isfinite(widths).any():
            return length
        mask_width = np.count_nonzero(self.mask) / length
        too_wide = max(mask_width - float(np.nanmedian(widths)), 0.0) / 2
        return max(length - sum(too_wide for _, cut in ways if not cut), 0.0)

    def _further(self, local: Line, direction: npt.NDArray[np.floating]) -> tuple[float, bool]:
        """Within the photo; the box of the piece ends where the mask does."""
        further, left_box = way_to_the_end(local, direction, self.mask)
        if not left_box:
            return further, False
        x, y = local[-1] + (further + 1) * direction + np.array(self.corner, np.float32)
        height, width = self.grey.shape
        return further, not (0 <= round(float(x)) < width and 0 <= round(float(y)) < height)

    def _read(self, chains: Sequence[Chain], lines: Sequence[Line]) -> tuple[list[_Read], Blur]:
        """All branches, with the blur that explains them best together."""
        halves = [self._half_at(line) for line in lines]
        prepared = [
            self._profiles(line, half, _alone(chain, line, half))
            for chain, line, half in zip(chains, lines, halves, strict=True)
        ]
        groups = [values for each in prepared for _, values in each]
        blur = best_blur(groups, self.knobs.blurs_px, self.knobs.blur_points, self.knobs.sure, self.knobs.blur_error)
        read = [self._fit(line, half, mine, blur) for line, half, mine in zip(lines, halves, prepared, strict=True)]
        return read, blur

    def _half_at(self, line: Line) -> Along:
        height, width = self.mask.shape
        cols, rows = (np.rint(line - np.array(self.corner, np.float32)).astype(np.intp)).T
        half: Along = self.half[np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)]
        return half

    def _profiles(self, line: Line, half: Along, alone: npt.NDArray[np.bool_]) -> list[_Group]:
        """Groups of one reach, with the dark lines in the middle of the grey values; left out are points whose profile
        leaves the photo, or crosses another branch, or whose mask is too wide."""
        reach = np.ceil((self.knobs.reach * half + self.knobs.reach_px) / _GROUP_PX).astype(int) * _GROUP_PX
        alone = alone & (half <= self.knobs.widest_px / 2)
        groups = [(int(px), np.flatnonzero((reach == px) & alone)) for px in np.unique(reach[alone])]
        across, shift = _normals(line, half, self.knobs.smooth_points), np.zeros(len(line), np.float32)
        for px, here in groups:
            beside = centred(profiles(self.grey, line[here], across[here], px, 1), float(np.median(half[here])) + 1)
            shift[here] = running_median(beside.astype(np.float32), 2 * self.knobs.smooth_points + 1)
        middle = line + shift[:, np.newaxis] * across
        across = _normals(middle, half, self.knobs.smooth_points)  # the crack is straighter than its mask
        found = []
        for px, here in groups:
            values = profiles(self.grey, middle[here], across[here], px, self.knobs.average_points)
            whole = np.isfinite(values).all(axis=1)
            found.append((here[whole], values[whole]))
        return found

    def _fit(self, line: Line, half: Along, groups: Sequence[_Group], blur: Blur) -> _Read:
        widths, errors = (np.full(len(line), np.nan, np.float32) for _ in range(2))
        for here, values in groups:
            fits = fitted(values, blur.px)
            good = _readable(fits, values, self.knobs) & is_one_valley(values, fits, blur.px)
            widths[here[good]], errors[here[good]] = fits.widths[good], fits.errors[good]
        return _Read(line, half, widths, errors)


def _readable(fits: Fits, values: npt.NDArray[np.float64], knobs: MeasuringKnobs) -> npt.NDArray[np.bool_]:
    widest = values.shape[1] * _SEEN  # the background must be seen as well
    good: npt.NDArray[np.bool_] = (
        (fits.depths >= knobs.least_contrast) & (fits.explained >= knobs.least_fit) & (fits.widths < widest)
    )
    return good


def _readings(read: Sequence[_Read], blur: Blur, knobs: MeasuringKnobs) -> dict[str, Reading]:
    """Median, 95th percentile and widest place, the last two of widths that are steady over some neighbours."""
    steady = [running_median(each.widths, knobs.steady_points) for each in read]
    rough, calm = np.concatenate([each.widths for each in read]), np.concatenate(steady)
    known = np.isfinite(rough)
    if not known.any():
        nothing = Reading(np.nan, np.nan, np.nan)
        return {"width_median": nothing, "width_p95": nothing, "width_max": nothing}
    noise = _MAD * float(np.median(np.abs(rough[known] - calm[known])))
    own = max(noise, float(np.median(np.concatenate([each.errors for each in read])[known])))
    alike = max(knobs.average_points, 1)  # neighbours that share their profiles tell nothing new
    places = max(int(known.sum()) / knobs.steady_points, 1.0)  # whose widths are independent
    of_median = own * _OF_A_MEDIAN / np.sqrt(max(known.sum() / alike, 1))
    of_steady = own * _OF_A_MEDIAN / np.sqrt(max(knobs.steady_points / alike, 1))
    values = {  # value, error, errors by which noise alone would lift it
        "width_median": (float(np.median(rough[known])), of_median, 0.0),
        "width_p95": (float(np.nanpercentile(calm, _P95)), of_steady, min(_LIFT_P95, _lift(places))),
        "width_max": (float(np.nanmax(calm)), of_steady, _lift(places)),
    }
    return {name: _reading(*each, blur, knobs) for name, each in values.items()}


def _reading(value: float, error: float, lift: float, blur: Blur, knobs: MeasuringKnobs) -> Reading:
    """Errors that do not know of each other add as squares; what no profile tells comes on top."""
    reach = knobs.sure * float(np.hypot(error, knobs.unsure_px))
    return Reading(value, max(value - reach - lift * error - blur.less, 0.0), value + reach + blur.more)


def _normals(line: Line, half: Along, points: int) -> Line:
    """From neighbours that are the further away the wider the mask is, for wide masks are more ragged."""
    along = tangents(line, points + np.rint(half).astype(np.intp))
    return np.stack([-along[:, 1], along[:, 0]], axis=1)


def _lift(places: float) -> float:
    """About how many standard deviations the largest of so many normal numbers lies above their mean."""
    return float(np.sqrt(2 * np.log(places))) if places > 1 else 0.0


def _alone(chain: Chain, line: Line, half: Along) -> npt.NDArray[np.bool_]:
    """Points so far from the junctions at its ends that no profile crosses another branch."""
    alone = np.ones(len(line), np.bool_)
    for free, end in ((chain.ends[0], 0), (chain.ends[1], -1)):
        if not free and not chain.is_loop:
            alone &= np.hypot(*(line - line[end]).T) > 2 * half[end]
    return alone


def _share(read: Sequence[_Read]) -> float:
    """Of the length."""
    known = sum(int(np.isfinite(each.widths).sum()) for each in read)
    return known / sum(len(each.widths) for each in read)


def _orientation(lines: Sequence[Line]) -> float:
    """Of its longer axis: 0 to the right, 90 up."""
    points = np.concatenate(lines).astype(np.float64)
    if len(points) < 2:
        return 0.0
    x, y = (points - points.mean(axis=0)).T
    angle = 0.5 * np.arctan2(-2 * (x * y).mean(), (x * x).mean() - (y * y).mean())
    return float(np.degrees(angle) % 180)
