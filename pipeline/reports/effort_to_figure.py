"""Scores at different efforts → one figure: what a minute of a person's time is worth, for answers and for masks."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.reports.curves_to_figure import COLOURS, pixels

WAYS = {  # what was given, how it is called, colour and mark
    "answers": ("yes/no answers", "#0072b2", "o"),
    "masks": ("masks drawn by hand", "#000000", "s"),
}
NOBODYS = {  # what needs nobody's time, how it is called and whose colour it has
    "nothing": ("neither (generated photos)", "generated"),
    "starter": ("neither (the starter as it comes)", "starter"),
}
TICKS = {1: "1 min", 10: "10 min", 60: "1 h", 600: "10 h", 6000: "100 h", 60000: "1,000 h"}
_INCHES, _DPI = (7.0, 4.4), 150


def with_minutes(rows: pd.DataFrame, *, answer_s: float, mask_min: float) -> pd.DataFrame:
    """A column of minutes of a person's time: answers · seconds / 60 + masks · minutes."""
    return rows.assign(minutes=rows["answers"] * answer_s / 60 + rows["masks"] * mask_min)


def figure(points: pd.DataFrame, title: str) -> NDArray[np.uint8]:
    """uint8 H×W×3 of the mean over seeds of each (way, minutes); the bar is one standard deviation. What needs nobody's
    time is a line across."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        page = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        axes = page.add_subplot()
        for way, (words, colour, mark) in WAYS.items():
            _draw(axes, points[points["way"] == way], words, color=colour, marker=mark)
        for way, (words, whose) in NOBODYS.items():
            nobodys = points[points["way"] == way]
            if len(nobodys):
                axes.axhline(nobodys["ods"].mean(), color=COLOURS[whose], linestyle="--", label=words)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        shown = {minutes: words for minutes, words in TICKS.items() if low <= minutes <= high}
        axes.set_xticks(list(shown), list(shown.values()))
        axes.set_xticks([], minor=True)
        axes.set(xlabel="a person's time", ylabel="ODS on the test images", ylim=(0, 1))
        axes.set_title(title, fontsize=10)
        axes.grid(color="#eeeeee", linewidth=0.6)
        axes.legend(loc="lower right", fontsize=8, frameon=False)
        return pixels(page)


def _draw(axes: Axes, points: pd.DataFrame, words: str, **style: Any) -> None:
    means = points.groupby("minutes")["ods"].agg(["mean", "std"]).fillna(0)
    axes.errorbar(
        means.index.to_numpy(float), means["mean"], yerr=means["std"], label=words, capsize=2, linewidth=1.5, **style
    )
