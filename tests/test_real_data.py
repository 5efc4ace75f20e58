"""The paper's data sets as users download them: counts of images and patches. Skipped where the data are absent."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from tasks import Dataset, Patches
from tests.conftest import SHARED, luigi_in

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"the data sets are not in {SHARED}"),
]

# images of train, val, test, unlabelled; crack patches and others of train, val, test
EXPECTED = {
    "crack500": ([1157, 0, 451, 0], [(19_932, 32_901), (0, 0), (7_821, 13_306)]),
    "crack500 eightfold": ([1157, 0, 451, 0], [(159_180, 263_484), (0, 0), (7_821, 13_306)]),
    "cfd": ([64, 7, 46, 36], [(9_726, 8_194), (132, 113), (925, 685)]),
    "dcd": ([216, 30, 54, 0], [(41_792, 35_968), (722, 628), (1_300, 1_130)]),
    "cfd-all": ([0, 0, 117, 36], [(0, 0), (0, 0), (2_277, 1_818)]),
}
SPLITS = ("train", "val", "test", "unlabelled")


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    (folder / "configs").mkdir()
    return folder


@pytest.fixture
def real(common: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workplace that the tests of this file share, so that nothing is read twice."""
    monkeypatch.setenv("HAIRLINE_CONFIGS", str(common / "configs"))
    monkeypatch.setenv("HAIRLINE_DATA", str(SHARED))
    monkeypatch.setenv("HAIRLINE_OUTPUTS", str(common / "outputs"))
    return common


@pytest.mark.parametrize(
    "name", ["cfd", "dcd", "cfd-all", "crack500", pytest.param("crack500 eightfold", marks=pytest.mark.slow)]
)
def test_images_patches_and_crack_shares_of_a_real_data_set(
    real: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images, patches = EXPECTED[name]
    geometry = "none" if name == "crack500" else "eightfold"
    name = name.removesuffix(" eightfold")
    done = luigi_in(real, "Patches", "--dataset", name, "--geometry", geometry)
    assert done.returncode == 0, done.stderr
    dataset = Dataset(dataset=name)
    assert [len(dataset.photos(split)) for split in SPLITS] == images
    with Patches(dataset=name, geometry=geometry).entry.checked("counts.csv").open() as stream:
        counts = [(int(row["crack"]), int(row["no_crack"])) for row in csv.DictReader(stream)]
    with capsys.disabled():
        crack, other = np.sum(counts, axis=0)
        print(f"\n{name}: {sum(images)} images, {crack + other:,} patches, {crack / (crack + other):.1%} crack")
    assert counts == patches


def test_crackforest_leaves_042_out_and_counts_label_four_but_not_three(real: Path) -> None:
    done = luigi_in(real, "Dataset", "--dataset", "cfd")
    assert done.returncode == 0, done.stderr
    labelled = {photo.image_path.stem: photo for photo in Dataset(dataset="cfd").photos("train", "val", "test")}
    assert len(labelled) == 117
    assert "042" not in labelled
    assert labelled.keys() == {f"{number:03}" for number in range(1, 119) if number != 42}
    mask = labelled["084"].mask()  # 3,359 pixels of label 2, 3,506 of label 3, 300 of label 4
    assert mask is not None
    assert mask.sum() == 3_359 + 300
    told = Dataset(dataset="cfd").entry.checked("warnings.csv").read_text()
    assert re.search(r"329\.jpg: truncated or damaged image .*left out", told)
    assert {photo.image_path.stem for photo in Dataset(dataset="cfd").photos("test")} == {
        f"{number:03}" for number in range(73, 119)
    }


def test_the_combined_data_set_is_the_union_of_its_parts_split_by_split(real: Path) -> None:
    done = luigi_in(real, "Dataset", "--dataset", "combined", "--parts", "cfd,dcd")
    assert done.returncode == 0, done.stderr
    dataset = Dataset(dataset="combined", parts="cfd,dcd")
    expected = np.add(EXPECTED["cfd"][0], EXPECTED["dcd"][0])
    assert [len(dataset.photos(split)) for split in SPLITS] == expected.tolist()
    photo = dataset.photo("cfd-084", "test")
    assert photo.mask_path is not None
    assert photo.mask_path.suffix == ".mat"


def test_class_labels_only_are_shared_out_half_crack_half_not(real: Path) -> None:
    (real / "configs" / "ozgenel.toml").write_text(
        'recipe = "quick"\n[Dataset]\nlayout = "classes"\nmax_images = 300\n'
    )
    done = luigi_in(real, "Dataset", "--dataset", "ozgenel")
    assert done.returncode == 0, done.stderr
    assert "(train 300, val 128, test 320)" in done.stderr
