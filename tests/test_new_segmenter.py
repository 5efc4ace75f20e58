"""A new segmenter is one file and one line: tried on a copy of the project, as a user would."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, luigi_in, ran, read_rows, rename_data

TOY = '''"""Three convolutions and a side output, if it is asked for."""

from dataclasses import dataclass

from torch import Tensor, nn

from models.parts.wrapper import PaddedSegmenter


@dataclass(frozen=True)
class Options:
    """None."""


def build(options: Options, *, pixels: str) -> PaddedSegmenter:
    return PaddedSegmenter(Toy(8), size_divisor=2, pixels=pixels)


class Toy(nn.Module):
    """N×3×H×W → [N×1×H×W logits]; H and W are even."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.far = nn.Sequential(nn.Conv2d(width, width, 3, stride=2, padding=1), nn.ReLU())
        self.grow = nn.ConvTranspose2d(width, 1, 2, stride=2)
        self.side = nn.Conv2d(width, 1, 1)

    def forward(self, batch: Tensor) -> list[Tensor]:
        near = self.near(batch)
        return [self.side(near) + self.grow(self.far(near))]
'''
WIDE = TOY.replace('"""None."""', "width: int").replace("Toy(8)", "Toy(options.width)")
SIDED = TOY.replace("return [self.side(near) + self", "return [self.side(near), self")

Run = Callable[..., subprocess.CompletedProcess[str]]


def with_toy(folder: Path, source: str) -> Path:
    """A copy of the project with one file and one line more."""
    for name in ("models", "pipeline", "tasks", "configs", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("luigi.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "models" / "toy.py").write_text(source)
    index = folder / "models" / "__init__.py"
    before, after = index.read_text().split("SEGMENTERS = {\n")
    index.write_text(before + 'SEGMENTERS = {\n    "toy": "models.toy",\n' + after)
    return folder


@pytest.fixture
def command(finished: Path, tmp_path: Path) -> Callable[[str], Run]:
    """`luigi --module tasks …` of a project with that toy.py, on demo photos for which all but toy is computed."""
    rename_data(finished, "demo")

    def of(source: str) -> Run:
        project = with_toy(tmp_path / "project", source)
        return lambda *words: luigi_in(finished, *words, "--dataset", "demo", PYTHONPATH=str(project))

    return of


def test_a_new_segmenter_is_one_file_and_one_line_and_computes_nothing_but_its_own(
    command: Callable[[str], Run], finished: Path, undisturbed: Path
) -> None:
    everything = ("RunAll", "--Tables-segmenters", '["toy"]')
    luigi = command(TOY)
    done = luigi(*everything)
    assert done.returncode == 0, done.stderr
    assert sorted(ran(done)) == ["Predictions"] * 3 + ["Scores"] * 3 + ["Segmenter"] * 3 + ["Tables"]
    tables = finished / "outputs" / "tables" / "demo"
    found = read_rows(tables / "segmentation.csv")
    assert [(row["segmenter"], row["labels"]) for row in found] == [("toy", kind) for kind in ("full", "crf", "pseudo")]
    assert all(0 <= float(row["ods"]) <= 1 for row in found)
    compared = read_rows(tables / "comparison.csv")
    assert [row["segmenter"] for row in compared] == ["toy"]
    assert all(math.isfinite(float(compared[0][f"{kind}_ods"])) for kind in ("FSV", "CRF", "WSV"))
    without_toy = read_rows(undisturbed / "outputs" / "tables" / "tiny" / "segmentation.csv")
    own = {"segmenter_key", "predictions_key", "scores_key"}
    for mine, theirs in zip(found, without_toy, strict=True):
        assert {name for name in mine if name.endswith("_key") and mine[name] != theirs[name]} == own
    again = luigi(*everything)
    assert (again.returncode, ran(again)) == (0, [])


def test_what_a_new_segmenter_wants_beside_pixels_is_asked_for_before_anything_runs(
    command: Callable[[str], Run], finished: Path
) -> None:
    luigi, plan = command(WIDE), ("Plan", "--Tables-segmenters", "toy")
    settings = finished / "configs" / "demo.toml"
    done = luigi(*plan)
    assert done.returncode != 0
    assert done.stderr == (
        "error: segmenter 'toy' has no width; "
        "write [Segmenter.options.toy] width = … into configs/demo.toml or configs/recipes/quick.toml\n"
    )
    settings.write_text(settings.read_text() + "\n[Segmenter.options.toy]\nwidth = 4\n")
    assert luigi(*plan).returncode == 0


@pytest.mark.slow
def test_a_new_segmenter_with_side_outputs_is_asked_for_their_weights(command: Callable[[str], Run]) -> None:
    luigi, train = command(SIDED), ("Segmenter", "--segmenter", "toy", "--labels", "full")
    done = luigi(*train)
    assert done.returncode != 0
    assert "0 side weights for 1 side outputs; one for each is needed, as [Segmenter.sides.<seg" in done.stderr
    assert "Traceback" not in done.stderr
    assert luigi(*train, "--sides", '{"toy": {"weights": [0.5]}}').returncode == 0


def test_the_contract_of_all_segmenters_is_tried_on_a_new_one_too(tmp_path: Path) -> None:
    project = with_toy(tmp_path / "project", TOY)
    chosen = ["-k", "toy or every_segmenter or merged", "-m", "not slow", "-vv", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/test_models.py", "tests/test_settings.py", *chosen],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    assert "test_the_gradient_reaches_every_parameter[toy] PASSED" in done.stdout
