"""A tiny data set of its own for each test that runs stages: seconds instead of minutes, the same road."""

from __future__ import annotations

import csv
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, one on each core; before torch is imported

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest

from tests.warm import Warm

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tasks.core.stage import AnyStage

StageT = TypeVar("StageT", bound="AnyStage")
ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "datasets"

TINY = """
recipe = "quick"

[DemoPhotos]
train_images = 6
val_images = 1
test_images = 3
uncracked_share = 0.2

[Dataset]
layout = "synthetic"

[Patches]
stride_px = 128

[Classifier]
epochs = 2
batch_size = 8
samples_per_epoch = 16
precision = "float32"

[Segmenter]
epochs = 2
batch_size = 2
samples_per_epoch = 4
crop_px = 64
precision = "float32"

[Segmenter.options.unet]
width = 4

[Tables]
segmenters = ["unet"]
labels = ["full", "crf", "pseudo"]

[PatchMaps]
precision = "float32"

[PseudoLabels]
min_crack_pixels = 0

[MergeWeights]
sources = ["generated unet"]

[RoundLabels]
teacher = "unet"

[CrfSearch]
images = 3
unary = "cam"
coarse_scale = 1.0
gaussian_sxys_px = [1.0, 3.0]
gaussian_compats = [1.0]
bilateral_sxys_px = [20.0]
bilateral_srgbs = [10.0]
bilateral_compats = [3.0, 10.0]
refine_iterations = [1]
refine_best = 1

[CrfLabels]
min_crack_pixels = 0

[Execution]
device = "cpu"
threads = 1
processes = 1

[variants.two_classes.ThresholdMaps]
classes = 2
"""


def make_workplace(folder: Path) -> Path:
    """A folder with configs/ in it, where a data set called tiny is defined."""
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "tiny.toml").write_text(TINY)
    return folder


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workplace with a data set called tiny and nothing computed; tests in this process see it too."""
    make_workplace(tmp_path)
    monkeypatch.setenv("HAIRLINE_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("HAIRLINE_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings and task instances are remembered within a process; every test starts without memories, and with an
    outputs folder of its own."""
    monkeypatch.setenv("HAIRLINE_OUTPUTS", str(tmp_path / "outputs"))
    from luigi.task_register import Register

    from tasks.core import settings

    settings.forget()
    Register.clear_instance_cache()
    yield
    settings.forget()
    Register.clear_instance_cache()


def resolved(
    section: str, dataset: str, recipe: str = "", variant: str = "", given: Mapping[str, str] | None = None
) -> Any:
    """The knobs of a section, as a stage would see them."""
    from pipeline.knobs import SECTIONS
    from tasks.core.settings import Experiment

    return Experiment(dataset, recipe, variant).resolve(SECTIONS[section], given)


def made(stage: StageT) -> StageT:
    """Computes a stage in this process, as its child process would; what is above it must be there."""
    from tasks.core.stage import make_under_lock

    make_under_lock(stage)
    return stage


class Luigi(Protocol):
    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]: ...


def luigi_command() -> str:
    """The luigi of the Python that runs the tests."""
    beside = Path(sys.executable).with_name("luigi")
    found = str(beside) if beside.exists() else shutil.which("luigi")
    if found is None:
        raise RuntimeError("no luigi command beside this Python; run make install")
    return found


def environment(workplace: Path, **env: str) -> dict[str, str]:
    """What a process needs to work in a workplace."""
    places = {"HAIRLINE_CONFIGS": str(workplace / "configs"), "HAIRLINE_OUTPUTS": str(workplace / "outputs")}
    return {**os.environ, **places, **env}


WARM = Warm()


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    yield
    WARM.stop()


def luigi_in(workplace: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs `luigi --module tasks …` in a process of its own, which is a fork of one that has imported everything."""
    command = [luigi_command(), "--module", "tasks", *words]
    if "PYTHONPATH" in env:  # another project
        return cold(command, environment(workplace, **env))
    return WARM.run(command, environment(workplace, **env))


def cold(command: list[str], env: Mapping[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command as a user starts it, importing and all."""
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=900)


@pytest.fixture
def luigi_run(tiny: Path) -> Luigi:
    return lambda *words, **env: luigi_in(tiny, *words, **env)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workplace where everything was computed once without any disturbance; not to be written to."""
    workplace = make_workplace(tmp_path_factory.mktemp("undisturbed") / "workplace")
    done = luigi_in(workplace, "RunAll", "--dataset", "tiny")
    assert done.returncode == 0, done.stderr
    return workplace


@pytest.fixture
def finished(undisturbed: Path, tiny: Path) -> Path:
    """A copy of the undisturbed workplace, for a test of its own."""
    shutil.copytree(undisturbed / "outputs", tiny / "outputs")
    return tiny


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real one, which draws the pages for nobody to see."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("needs a chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        found: Browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


def rename_data(workplace: Path, name: str) -> Path:
    """The data set tiny gets another name, with all that was computed of it: keys do not know names."""
    (workplace / "configs" / f"{name}.toml").write_text(TINY)
    for entry in (workplace / "outputs").glob("*/tiny-*"):
        entry.rename(entry.with_name(entry.name.replace("tiny-", f"{name}-")))
    return workplace


def read_rows(path: Path) -> list[dict[str, str]]:
    """A table as texts, whatever pandas would make of them."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages that a run computed to the end, in order."""
    return [line.split()[0] for line in done.stderr.splitlines() if "✓" in line]


def published(folder: Path) -> dict[str, bytes]:
    """The tables that must not depend on when and how they were computed."""
    names = (
        "comparison.csv",
        "segmentation.csv",
        "label_quality.csv",
        "classifier.csv",
        "settings.csv",
        "summary.md",
    )
    return {name: (folder / "outputs" / "tables" / "tiny" / name).read_bytes() for name in names}
