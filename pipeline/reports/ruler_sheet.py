"""One A4 page of lines of known width, to be printed and photographed; nothing of it is read from disk."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

WIDTHS_MM = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.8, 1.0, 1.6, 2.0, 3.0)
BAR_MM = 100.0
PAGE_MM = (210.0, 297.0)
_INCH_MM = 25.4
_GREY = "#555555"
_GAP_MM = 2.5  # between a line and its width in numbers


@dataclass(frozen=True)
class Fan:
    """Parallel lines of all widths around a middle; 0: to the right, 90: up."""

    angle_deg: float
    middle_mm: tuple[float, float]
    length_mm: float
    apart_mm: float


_FANS = (
    Fan(0, (62, 197), 58, 7),
    Fan(90, (150, 203), 58, 7),
    Fan(45, (64, 99), 52, 6.4),
    Fan(20, (150, 101), 52, 6.4),
)


def ruler_sheet() -> bytes:
    """A PDF; every line is an outline filled with black, so that no viewer rounds its width."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault):  # whatever the user's own matplotlibrc says
        matplotlib.rcParams.update({"pdf.fonttype": 42, "pdf.compression": 6, "font.family": "DejaVu Sans"})
        page = Figure(figsize=(PAGE_MM[0] / _INCH_MM, PAGE_MM[1] / _INCH_MM))
        axes = page.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, PAGE_MM[0]), ylim=(0, PAGE_MM[1]))
        axes.set_axis_off()
        _tell(axes)
        for fan in _FANS:
            _draw(axes, fan)
        _bar(axes, (20, 24), upright=False)
        _bar(axes, (196, 24), upright=True)
        stream = io.BytesIO()
        page.savefig(stream, format="pdf", metadata={"CreationDate": None, "Title": "Ruler sheet of line widths"})
        return stream.getvalue()


def corners(fan: Fan, number: int) -> list[tuple[float, float]]:
    """Of the line with WIDTHS_MM[number], in millimetres from the page's lower left."""
    along = math.cos(math.radians(fan.angle_deg)), math.sin(math.radians(fan.angle_deg))
    across = -along[1], along[0]
    aside = ((len(WIDTHS_MM) - 1) / 2 - number) * fan.apart_mm
    half_length, half_width = fan.length_mm / 2, WIDTHS_MM[number] / 2
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [_place(fan, along, across, s * half_length, aside + t * half_width) for s, t in signs]


def _place(
    fan: Fan, along: tuple[float, float], across: tuple[float, float], forth: float, aside: float
) -> tuple[float, float]:
    x, y = (fan.middle_mm[axis] + forth * along[axis] + aside * across[axis] for axis in (0, 1))
    return x, y


def _draw(axes: Axes, fan: Fan) -> None:
    for number, width in enumerate(WIDTHS_MM):
        _fill(axes, corners(fan, number))
        low, _, _, high = corners(fan, number)
        angle = math.radians(fan.angle_deg)
        x = (low[0] + high[0]) / 2 - _GAP_MM * math.cos(angle)
        y = (low[1] + high[1]) / 2 - _GAP_MM * math.sin(angle)
        label = axes.text(x, y, f"{width:g}", fontsize=8, color=_GREY, ha="right", va="center", rotation=fan.angle_deg)
        label.set_rotation_mode("anchor")


def _fill(axes: Axes, outline: list[tuple[float, float]]) -> None:
    axes.add_patch(Polygon(outline, closed=True, facecolor="black", edgecolor="none", linewidth=0, snap=False))


def _bar(axes: Axes, start: tuple[float, float], *, upright: bool) -> None:
    """100 mm with a tick each 10; its outer edges are what is measured."""
    half = 0.1

    def box(left: float, low: float, right: float, high: float) -> None:
        places = [(left, low), (right, low), (right, high), (left, high)]
        _fill(axes, [(start[0] + (y if upright else x), start[1] + (x if upright else y)) for x, y in places])

    box(0, -half, BAR_MM, half)
    for tick in range(11):
        middle = min(max(10.0 * tick, half), BAR_MM - half)
        box(middle - half, -2.5 if tick % 10 == 0 else -1.2, middle + half, 2.5 if tick % 10 == 0 else 1.2)
    at = (start[0] - 5, start[1] + BAR_MM / 2) if upright else (start[0] + BAR_MM / 2, start[1] + 5)
    axes.text(*at, "100 mm", fontsize=9, ha="center", va="center", rotation=90 if upright else 0)


def _tell(axes: Axes) -> None:
    axes.text(20, 276, "Ruler sheet", fontsize=20, va="baseline", weight="bold")
    axes.text(20, 268.5, "Lines of known width, in millimetres, in four directions.", fontsize=10, color=_GREY)
    notes = (
        "Print at 100 % (actual size), not fitted to the page. Both bars must measure 100 mm; if one measures L mm,",
        "widths in its direction are L / 100 of what is printed beside the lines.",
        "Ink spreads, and 0.1 mm is two or three dots at 600 dpi: look at thin lines through a magnifier first.",
        "Lay the sheet flat on the surface, beside the crack, and photograph both from straight above.",
    )
    for number, line in enumerate(notes):
        axes.text(20, 259 - 4.6 * number, line, fontsize=7.5, color="black")
