"""What a stage hands to its workers: a job that is a value, resolved, and knows nothing of Luigi."""

from __future__ import annotations

import dataclasses
import importlib
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks import STAGES, CrfLabels, PseudoLabels, Refinements
from tasks.core.workers import Processes
from tests.conftest import ROOT, made

MODULES = [
    importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for path in sorted((ROOT / "tasks").rglob("*.py"))
    if not path.stem.startswith("__") and "Job" in path.read_text()
]
JOBS = [
    value
    for module in MODULES
    for name, value in vars(module).items()
    if name.endswith("Job") and dataclasses.is_dataclass(value) and value.__module__ == module.__name__
]


def test_there_is_a_job_for_each_stage_that_goes_image_by_image() -> None:
    assert len(JOBS) >= 10


@pytest.mark.parametrize("job", JOBS)
def test_a_job_is_frozen_and_its_fields_are_no_tasks(job: type) -> None:
    assert job.__dataclass_params__.frozen  # type: ignore[attr-defined]
    named = set(re.findall(r"\w+", " ".join(str(field.type) for field in dataclasses.fields(job))))
    assert not named & {"luigi", "Stage", "AnyStage", *(stage.__name__ for stage in STAGES)}


def test_a_job_that_crossed_a_wire_gives_the_same_bytes(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Any] = []

    def over_a_wire(workers: Processes, job: Any, items: Sequence[Any]) -> Iterator[Any]:
        sent = pickle.dumps(job)
        handed.append(sent)
        return map(pickle.loads(sent).open(workers.place.enter()), items)

    stages = [
        PseudoLabels(dataset="tiny", arch="resnet18", split="train"),
        CrfLabels(dataset="tiny", arch="resnet18", split="train"),
        Refinements(dataset="tiny", segmenter="unet", labels="full", split="test", method="guided"),
    ]
    before = [_files(made(stage).entry.folder) for stage in stages]
    monkeypatch.setattr(Processes, "map", over_a_wire)
    for stage, files in zip(stages, before, strict=True):
        stage.entry.folder.rename(stage.entry.folder.with_name("away"))
        assert _files(made(stage).entry.folder) == files
    assert handed
    assert not any(b"luigi" in sent for sent in handed)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.png")}


SLIPS = {
    "a misspelt knob": (
        "from tasks.threshold_maps import ThresholdMaps\n"
        "def slip(stage: ThresholdMaps) -> int:\n"
        "    return stage.knobs.window_pix\n",
        'has no attribute "window_pix"',
    ),
    "an option of a wrong type": (
        "from models.unet import Options\nOptions(width='abc', norm='batch')\n",
        'incompatible type "str"; expected "int"',
    ),
    "an option that is none of the allowed": (
        "from models.unet import Options\nOptions(width=4, norm='bach')\n",
        "incompatible type",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("code", "told"), SLIPS.values(), ids=list(SLIPS))
def test_make_check_finds(code: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "slip.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(tmp_path / "slip.py")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1, done.stdout
    assert told in done.stdout
