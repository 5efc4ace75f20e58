"""How right lengths and widths are: cracks of known geometry in all directions, blurred and noised, with masks that are
as much too wide as a network's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.drawing.ruler import Drawn, Light, Points, as_networks_draw, curve, drawn, polyline
from pipeline.knobs.measuring import MeasuringKnobs
from pipeline.ops.cracks import Crack
from pipeline.prediction_to_cracks import cracks_of

WIDTHS_PX = (0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)
_SIZE_HW = (260, 300)
_SEEN_PX = 1.5
Row = dict[str, float]


@dataclass(frozen=True)
class Case:
    """A rendered crack and what was measured of it; None: not found."""

    truth: Drawn
    shape: str
    crack: Crack | None

    @property
    def error(self) -> float:
        return self.crack.width_median.value - self.truth.width if self.crack else np.nan


def cases(knobs: MeasuringKnobs, seed: int, count: int, widths: Sequence[float] = WIDTHS_PX) -> Iterator[Case]:
    """So many of each width: straight, curved, forked, in a random direction, with random blur, contrast and noise."""
    for width in widths:
        for number in range(count):
            rng = np.random.default_rng([seed, round(10 * width), number])
            shape = ("straight", "curved", "forked", "curved")[number % 4]
            ground, contrast = rng.uniform(120, 190), rng.uniform(45, 100)
            light = Light(ground, ground - contrast, blur=rng.uniform(0.5, 1.4), noise=rng.uniform(0.5, 4.0))
            branches = _branches(shape, rng)
            truth = drawn(branches, width, _SIZE_HW, light, rng)
            seen = truth if width > _SEEN_PX else drawn(branches, _SEEN_PX, _SIZE_HW, light, rng)  # a mask has pixels
            said = as_networks_draw(seen.mask, rng.uniform(0.0, 4.0), rng)
            _, found = cracks_of(said, truth.grey, knobs)
            yield Case(truth, shape, found[0] if found else None)


def _branches(shape: str, rng: np.random.Generator) -> list[Points]:
    angle, middle = rng.uniform(0, np.pi), (_SIZE_HW[1] / 2 + rng.uniform(-3, 3), _SIZE_HW[0] / 2 + rng.uniform(-3, 3))
    if shape == "forked":
        ends = [
            np.array(middle) + 85 * np.array([np.cos(turn), np.sin(turn)])
            for turn in angle + np.array([0, 2.1, 4.2]) + rng.uniform(-0.3, 0.3, 3)
        ]
        return [polyline(np.stack([np.array(middle), end])) for end in ends]
    bend = rng.uniform(4, 12) if shape == "curved" else 0.0
    return [curve(middle, 190, angle, bend, rng.uniform(0.7, 1.6))]


def bench(knobs: MeasuringKnobs, seed: int, cases_a_width: int, widths: Sequence[float] = WIDTHS_PX) -> list[Row]:
    """A row for each width, as `table` has it."""
    return table(list(cases(knobs, seed, cases_a_width, widths)))


def table(found: Sequence[Case]) -> list[Row]:
    """A row for each width: errors in px, the share of intervals that hold the truth, lengths in percent."""
    rows = []
    for width in sorted({case.truth.width for case in found}):
        mine = [case for case in found if case.truth.width == width]
        read = [case.crack for case in mine if case.crack and np.isfinite(case.crack.width_median.value)]
        errors = np.array([crack.width_median.value - width for crack in read])
        mask_errors = np.array([crack.mask_width - width for crack in read])
        lengths = np.array([case.crack.length / case.truth.length - 1 for case in mine if case.crack])
        rows.append(
            {
                "width_px": width,
                "cases": len(mine),
                "read": len(read),
                "median_error": float(np.median(np.abs(errors))),
                "p95_error": float(np.percentile(np.abs(errors), 95)),
                "bias": float(np.mean(errors)),
                **{f"{name}_held": _held(read, name, width) for name in ("width_median", "width_p95", "width_max")},
                "mask_median_error": float(np.median(np.abs(mask_errors))),
                "length_error": float(np.median(np.abs(lengths))),
                "length_worst": float(np.max(np.abs(lengths))),
            }
        )
    return rows


def _held(cracks: Sequence[Crack], name: str, width: float) -> float:
    readings = [getattr(crack, name) for crack in cracks]
    return float(np.mean([reading.low <= width <= reading.high for reading in readings]))
