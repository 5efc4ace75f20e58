"""Precision and recall along the thresholds → one figure for a test set, as the paper's Figure 7."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

# what the network learned from is told by the colour (told apart by colour-blind readers), the network by the dashes
COLOURS = {"full": "#000000", "crf": "#d55e00", "pseudo": "#0072b2", "semi": "#009e73", "generated": "#cc79a7"}
COLOURS |= {"starter": "#e69f00", "answers": "#999933", "merged": "#56b4e9", "round2": "#882255", "round3": "#aa4499"}
KINDS = {"full": "full masks", "crf": "CRF labels", "pseudo": "pseudo labels", "semi": "pseudo labels + test images"}
KINDS |= {"generated": "generated photos", "starter": "the starter", "answers": "yes/no answers"}
KINDS |= {"merged": "merged labels", "round2": "labels of round 2", "round3": "labels of round 3"}
DASHES: tuple[Any, ...] = (
    "-",
    (0, (6, 2)),
    (0, (1, 1.5)),
    (0, (6, 2, 1, 2)),
    (0, (12, 3)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (3, 3)),
    (0, (1, 4)),
)
WIDTHS = (1.5, 0.8, 2.4)  # of the classifiers behind the labels
_GREY = "#666666"
_INCHES, _DPI = (8.0, 4.8), 150
_F1_LINES = (0.2, 0.4, 0.6, 0.8)


def figure(curves: pd.DataFrame, title: str) -> NDArray[np.uint8]:
    """uint8 H×W×3. One line for each (segmenter, labels, arch) of `curves`, which has a row for each threshold.

    Thresholds without a hit (precision and recall 0) are left out; the dot is where a line's F1 is best.
    """
    with matplotlib.rc_context(matplotlib.rcParamsDefault):  # whatever the user's own matplotlibrc says
        page = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        axes = page.add_subplot()
        dashes, widths = styles(curves["segmenter"], DASHES), styles(curves["arch"], WIDTHS)
        _draw_f1_lines(axes)
        for key, line in curves.groupby(["segmenter", "labels", "arch"], sort=False):
            segmenter, labels, arch = map(str, key)
            _draw(axes, line, color=COLOURS[labels], linestyle=dashes[segmenter], linewidth=widths.get(arch, WIDTHS[0]))
        _label(axes, title)
        _legend(axes, curves, dashes, widths)
        return pixels(page)


def pixels(page: Figure) -> NDArray[np.uint8]:
    """uint8 H×W×3, as large as the page says."""
    width, height = (round(inches * page.dpi) for inches in page.get_size_inches())
    stream = io.BytesIO()
    page.savefig(stream, format="rgba", dpi=page.dpi)
    return np.frombuffer(stream.getvalue(), np.uint8).reshape(height, width, 4)[..., :3].copy()


def styles(names: Iterable[str], styles: Sequence[Any]) -> dict[str, Any]:
    """Name → style, in the order of appearance, again from the start when the styles run out; '' has none."""
    return dict(zip(dict.fromkeys(name for name in names if name), itertools.cycle(styles), strict=False))


def _draw(axes: Axes, line: pd.DataFrame, **style: Any) -> None:
    recall, precision, f1 = (line[name].to_numpy() for name in ("recall", "precision", "f1_pooled"))
    hit, best = recall > 0, int(f1.argmax())
    if hit.any():
        axes.plot(recall[hit], precision[hit], **style)
        axes.plot(recall[best], precision[best], color=style["color"], marker="o", markersize=4)


def _draw_f1_lines(axes: Axes) -> None:
    """Precision = F1·RE / (2·RE − F1): where the harmonic mean of both is the same."""
    for f1 in _F1_LINES:
        recall = np.linspace(f1 / (2 - f1), 1, 100)
        axes.plot(recall, f1 * recall / (2 * recall - f1), color="#cccccc", linewidth=0.7, zorder=0)
        axes.annotate(f"F1 {f1:g}", (1, f1 / (2 - f1)), (3, 0), textcoords="offset points", fontsize=7, color="#888888")


def _label(axes: Axes, title: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall", ylabel="precision", aspect="equal")
    axes.set_title(title, fontsize=10)
    axes.grid(color="#eeeeee", linewidth=0.6)


def _legend(axes: Axes, curves: pd.DataFrame, dashes: Mapping[str, Any], widths: Mapping[str, float]) -> None:
    """Colours, then dashes, then, where there are several classifiers, widths."""
    kinds = [labels for labels in COLOURS if (curves["labels"] == labels).any()]
    handles = [Line2D([], [], color=COLOURS[labels], label=KINDS[labels]) for labels in kinds]
    handles += [Line2D([], [], color=_GREY, linestyle=style, label=name) for name, style in dashes.items()]
    if len(widths) > 1:
        handles += [Line2D([], [], color=_GREY, linewidth=width, label=name) for name, width in widths.items()]
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.1, 1.01), fontsize=8, frameon=False, handlelength=3.5
    )
