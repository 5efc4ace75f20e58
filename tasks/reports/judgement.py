"""What the referee lays out: tables, the same as text and as numbers, and a page to show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.knobs import JudgeKnobs, as_dict
from tasks.core import files
from tasks.core.cache import canonical
from tasks.core.errors import StageError
from tasks.core.files import Row
from tasks.photos.results import RUN, results_folder

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.predictions_to_judgement import Judgement

OWNER = "judged"
TABLE, NUMBERS, TEXT, PAGE, PAIRS = "judge.csv", "judge.json", "judge.md", "judge.html", "differences.csv"
COLUMNS = {
    name: {"threshold": "t", "low": "from", "high": "to", "used_by": "used by"}.get(name, name)
    for name in ("score", "images", "cut", "threshold", "value", "low", "high", "used_by")
}
PAIR_COLUMNS = {name: name for name in ("first", "second", "score", "cut", "difference")}
PAIR_COLUMNS |= {"low": "from", "high": "to"}


@dataclass(frozen=True)
class Verdict:
    """On one system."""

    judgement: Judgement
    facts: Mapping[str, int]
    places: Mapping[str, int]
    notes: Sequence[str]
    pictures: Mapping[str, bytes]  # PNGs of the worst images, the worst first


def verdict_folder(out: str, name: str, identity: dict[str, object]) -> Path:
    """The one that is named, if nothing else lies there; or that of the predictions' names in the outputs."""
    if not out:
        return results_folder(OWNER, name[:100], identity).path
    folder = Path(out).expanduser().absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and _identity(folder) != canonical(identity):
        raise StageError(f"--out {out}: something else lies there; give a new folder, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _identity(folder: Path) -> str:
    try:
        return canonical(files.read_json(folder / RUN)["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def lay_out(folder: Path, verdicts: Mapping[str, Verdict], knobs: JudgeKnobs, about: Row) -> None:
    import pandas as pd

    from pipeline.predictions_to_judgement import differences

    tables = [each.judgement.table.assign(system=name) for name, each in verdicts.items()]
    table = pd.concat(tables)[["system", *tables[0].columns[:-1]]]
    pairs = differences({name: each.judgement for name, each in verdicts.items()}, knobs.confidence)
    files.write_json(folder / RUN, about)
    files.write_table(folder / TABLE, _safe(table, "system"))
    for name, each in verdicts.items():
        place = folder if len(verdicts) == 1 else folder / name
        place.mkdir(exist_ok=True)
        files.write_table(place / "by_image.csv", _safe(each.judgement.by_image, "image", "group"))
        files.write_table(place / "curve.csv", each.judgement.curve)
    if len(pairs):
        files.write_table(folder / PAIRS, _safe(pairs, "first", "second"))
    told = {name: [*_facts(each), *each.notes] for name, each in verdicts.items()}
    files.write_json(folder / NUMBERS, _numbers(verdicts, table, pairs, knobs, about))
    files.write_text(folder / TEXT, _text(verdicts, pairs, told, knobs))
    files.write_text(folder / PAGE, _page(verdicts, pairs, told, knobs, about))


def _safe(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """No spreadsheet takes a name for a formula."""
    from pipeline.reports.crack_tables import safe_cell

    return table.assign(**{name: [safe_cell(str(text)) for text in table[name]] for name in columns})


def _numbers(
    verdicts: Mapping[str, Verdict], table: pd.DataFrame, pairs: pd.DataFrame, knobs: JudgeKnobs, about: Row
) -> Row:
    from pipeline.predictions_to_judgement import thresholds_of

    systems = {
        name: {
            "facts": dict(each.facts),
            "thresholds": thresholds_of(each.places),
            "notes": list(each.notes),
        }
        for name, each in verdicts.items()
    }
    rows = {"scores": files.rows_of(table), "differences": files.rows_of(pairs)}
    finite = {
        what: [{name: _finite(value) for name, value in row.items()} for row in found] for what, found in rows.items()
    }
    return {**about, "knobs": as_dict(knobs), "systems": systems, **finite}


def _finite(value: object) -> object:
    """JSON has no nan."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _facts(verdict: Verdict) -> list[str]:
    from pipeline.predictions_to_judgement import thresholds_of

    facts, cuts = verdict.facts, thresholds_of(verdict.places)
    empty = ", ".join(f"{facts[f'empty_predictions at {at}']:,} at {cut:.2f} ({at})" for at, cut in cuts.items())
    grouped = f" of {facts['groups']:,} photos" if facts["groups"] < facts["images"] else ""
    left_out = f"; {facts['missing']:,} masks without a prediction are left out" if facts["missing"] else ""
    return [
        f"{facts['images']:,} images{grouped}{left_out}",
        f"{facts['empty_masks']:,} masks without a crack; predictions without a crack pixel: {empty}",
    ]


def said(knobs: JudgeKnobs) -> str:
    """How the intervals come about."""
    return (
        f"Intervals hold {knobs.confidence:.0%} of {knobs.draws:,} bootstrap draws (seed {knobs.seed}); thresholds of "
        f"“best” are chosen anew in each draw, the place “best ODS” stays where it is for all images."
    )


def _text(
    verdicts: Mapping[str, Verdict], pairs: pd.DataFrame, told: Mapping[str, Sequence[str]], knobs: JudgeKnobs
) -> str:
    from pipeline.reports.tables_text import markdown

    parts = ["# Every definition\n", f"{said(knobs)}\n"]
    for name, each in verdicts.items():
        listed = "".join(f"* {note}\n" for note in told[name])
        parts += [f"## {name}\n", listed, markdown(each.judgement.table, COLUMNS)]
    if len(pairs):
        named = {which: pairs[which].str.replace("|", r"\|") for which in ("first", "second")}
        parts += ["## Differences on the same images\n", markdown(pairs.assign(**named), PAIR_COLUMNS)]
    table = next(iter(verdicts.values())).judgement.table.drop_duplicates("score")
    parts += ["## Definitions\n", markdown(table, {"score": "score", "images": "images", "definition": "definition"})]
    return "\n".join(parts)


def _page(
    verdicts: Mapping[str, Verdict],
    pairs: pd.DataFrame,
    told: Mapping[str, Sequence[str]],
    knobs: JudgeKnobs,
    about: Row,
) -> str:
    from pipeline.reports.judge_page import SystemPart, page

    parts = [
        SystemPart(name, each.judgement.table, each.judgement.curve, each.judgement.by_image, told[name], each.pictures)
        for name, each in verdicts.items()
    ]
    words = {name: str(about[name]) for name in ("command", "published", "recipe", "host", "git")}
    return page(parts, pairs, said(knobs), words)
