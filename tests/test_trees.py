"""Data sets that are described rather than programmed: every shipped description, on a small tree made by hand."""

from __future__ import annotations

import dataclasses
import itertools
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from luigi.task_register import Register
from PIL import Image

from pipeline import knobs
from pipeline.knobs import TreesKnobs
from pipeline.layouts import on_disk
from pipeline.layouts.patterns import Pattern
from pipeline.layouts.trees import lists_of, trees
from tasks import Dataset
from tasks.core import settings
from tasks.core.errors import HairlineError, SettingsError
from tests.conftest import made, resolved

NOTHING = TreesKnobs([], [], [], [], [], [], "fail", [], [], "")
HEIGHT, WIDTH = 40, 48
CRACK_ROWS = slice(5, 8)

# --- small trees, laid out as published. What lies in a file: a photo, a mask with a crack (of 0 and 255; "0/1": of 0
# and 1), a mask without one ("black"), or a text. Behind "→": mask, split, label, group, part of the row that is
# expected; a split "?" is drawn.

XML = """<Annotation>
  <Defect name="image_0000002_crop_0000001.png"><Background>0</Background><Crack>1</Crack></Defect>
  <Defect name="image_0000003_crop_0000001.png"><Background>0</Background><Crack>0</Crack></Defect>
  <Defect name="image_0000003_crop_0000002.png"><Background>0</Background><Crack>1</Crack></Defect>
</Annotation>"""
RISS = "Rissbilder_for_Florian_9S6A2782_0_0_3840_5760"
FILES: dict[str, dict[str, str]] = {
    "khanhha": {
        "crack_segmentation_dataset/train/images/CRACK500_20160222_081011_1_361.jpg": "photo",
        "crack_segmentation_dataset/train/masks/CRACK500_20160222_081011_1_361.jpg": "crack",
        "crack_segmentation_dataset/train/images/noncrack_noncrack_concrete_wall_20_71.jpg.jpg": "photo",
        "crack_segmentation_dataset/train/masks/noncrack_noncrack_concrete_wall_20_71.jpg.jpg": "black",
        f"crack_segmentation_dataset/train/images/{RISS}.jpg": "photo",
        f"crack_segmentation_dataset/train/masks/{RISS}.jpg": "crack",
        "crack_segmentation_dataset/test/images/CFD_001.jpg": "photo",
        "crack_segmentation_dataset/test/masks/CFD_001.jpg": "crack",
        "crack_segmentation_dataset/images/CFD_001.jpg": "another photo",
        "crack_segmentation_dataset/masks/CFD_001.jpg": "crack",
        "crack_segmentation_dataset/readme": "text",
    },
    "metu": {
        "rgb/001.jpg": "photo",
        "rgb/011.JPG": "turned photo",
        "rgb/610.JPG": "photo",
        **{f"BW/{name}.jpg": "crack" for name in ("001", "011", "610")},
    },
    "metu-classes": {
        **{f"Positive/{name}.jpg": "photo" for name in ("00001", "00002", "00003")},
        **{f"Negative/{name}.jpg": "photo" for name in ("00001", "00002", "00003")},
    },
    "codebrim": {
        "classification_dataset/train/background/image_0000001_crop_0000001.png": "photo",
        "classification_dataset/train/defects/image_0000002_crop_0000001.png": "photo",
        "classification_dataset/val/defects/image_0000003_crop_0000001.png": "photo",
        "classification_dataset/test/defects/image_0000003_crop_0000002.png": "photo",
        "classification_dataset/metadata/defects.xml": XML,
        "classification_dataset/metadata/background.xml": "<Annotation></Annotation>",
    },
    "kolektorsdd2": {
        "train/10000.png": "photo",
        "train/10000_GT.png": "black",
        "train/10002.png": "photo",
        "train/10002_GT.png": "crack",
        "test/20000.png": "photo",
        "test/20000_GT.png": "crack",
    },
    "omnicrack30k": {
        "images/training/CRACK500_20160222_081011_1_361.png": "photo",
        "annotations/training/CRACK500_20160222_081011_1_361.png": "0/1",
        "images/validation/AEL_Im_GT_AIGLE_RN_C18aor.png": "photo",
        "annotations/validation/AEL_Im_GT_AIGLE_RN_C18aor.png": "0/1",
        "images/test/BCL_c1004.png": "photo",
        "annotations/test/BCL_c1004.png": "black",
    },
    "crackseg9k": {
        "Final-Dataset-Vol1/Images/CRACK500_20160307_164400_1281_721.png": "photo",
        "Final-Dataset-Vol1/Images/Ceramic_12.png": "photo",
        "Final-Dataset-Vol2/Images-2/noncrack_noncrack_concrete_wall_20_71.png": "photo",
        "Final-Dataset-Vol1/Final_Masks/Masks/CRACK500_20160307_164400_1281_721.png": "crack",
        "Final-Dataset-Vol1/Final_Masks/Masks/Ceramic_12.png": "crack",
        "Final-Dataset-Vol1/Final_Masks/Masks/noncrack_noncrack_concrete_wall_20_71.png": "black",
        "Final-Dataset-Vol1/Final_Masks/Heads/Ceramic_12.png": "crack",
        "Final-Dataset-Vol1/Final_Masks/train.txt": (
            "CRACK500_20160307_164400_1281_721.png\r\nnoncrack_noncrack_concrete_wall_20_71.png\r\n"
        ),
        "Final-Dataset-Vol1/Final_Masks/test.txt": "Ceramic_12.png\n",
    },
    "tut": {
        "TUT/train_img/road_QWlsNri.jpg": "photo",
        "TUT/train_lab/road_QWlsNri.png": "crack",
        "TUT/val_img/alternator_zyJnKaQ.jpg": "photo",
        "TUT/val_lab/alternator_zyJnKaQ.png": "0/1",
        "TUT/test_img/wall_GcYTXFR.jpg": "photo",
        "TUT/test_lab/wall_GcYTXFR.png": "crack",
    },
    "gaps384": {
        "GAPs384/croppedimg/train_0541_1_641.jpg": "photo",
        "GAPs384/croppedgt/train_0541_1_641.png": "crack",
        "GAPs384/croppedimg/train_0541_541_641.jpg": "photo",
        "GAPs384/croppedgt/train_0541_541_641.png": "crack",
    },
    "cracktree260": {
        "CrackTree260/CrackTree260_img/6192.jpg": "photo",
        "CrackTree260/CrackTree260_img/DSCN6428.JPG": "photo",
        "CrackTree260/CrackTree260_gt/gt/6192.bmp": "crack",
        "CrackTree260/CrackTree260_gt/gt/DSCN6428.bmp": "crack",
    },
    "crkwh100": {"CRKWH100/1000.png": "photo", "CRKWH100_GT/1000.bmp": "crack"},
    "crackls315": {"CrackLS315/0001-2.jpg": "photo", "CrackLS315_gt/0001-2.bmp": "crack"},
    "stone331": {
        "Stone331/Stone331_img/738.jpg": "photo",
        "Stone331/Stone331_gt/738.bmp": "crack",
        "Stone331/Stone331_mask/738.bmp": "crack",
    },
}
ROWS: dict[str, list[str]] = {
    "khanhha": [
        "train/images/CRACK500_20160222_081011_1_361.jpg → train/masks/CRACK500_20160222_081011_1_361.jpg train 1 "
        "CRACK500_/20160222_081011 CRACK500_",
        "train/images/noncrack_noncrack_concrete_wall_20_71.jpg.jpg → "
        "train/masks/noncrack_noncrack_concrete_wall_20_71.jpg.jpg train 0 "
        "noncrack_/noncrack_concrete_wall_20 noncrack_",
        f"train/images/{RISS}.jpg → train/masks/{RISS}.jpg train 1 Rissbilder_for_Florian_/9S6A2782 "
        "Rissbilder_for_Florian_",
        "test/images/CFD_001.jpg → test/masks/CFD_001.jpg test 1 CFD_001 CFD_",
    ],
    "metu": [f"rgb/{name}.{end} → BW/{name}.jpg ? 1 rgb/{name} -" for name, end in
             (("001", "jpg"), ("011", "JPG"), ("610", "JPG"))],
    "metu-classes": [f"{kind}/{name}.jpg → - ? {label} {kind}/{name} -"
                     for kind, label in (("Positive", 1), ("Negative", 0)) for name in ("00001", "00002", "00003")],
    "codebrim": [
        "train/background/image_0000001_crop_0000001.png → - train 0 image_0000001 -",
        "train/defects/image_0000002_crop_0000001.png → - train 1 image_0000002 -",
        "val/defects/image_0000003_crop_0000001.png → - val 0 image_0000003 -",
        "test/defects/image_0000003_crop_0000002.png → - test 1 image_0000003 -",
    ],
    "kolektorsdd2": [
        "train/10000.png → train/10000_GT.png train 0 train/10000 -",
        "train/10002.png → train/10002_GT.png train 1 train/10002 -",
        "test/20000.png → test/20000_GT.png test 1 test/20000 -",
    ],
    "omnicrack30k": [
        "images/training/CRACK500_20160222_081011_1_361.png → annotations/training/CRACK500_20160222_081011_1_361.png "
        "train 1 CRACK500_/20160222_081011 CRACK500_",
        "images/validation/AEL_Im_GT_AIGLE_RN_C18aor.png → annotations/validation/AEL_Im_GT_AIGLE_RN_C18aor.png val 1 "
        "AEL_Im_GT_AIGLE_RN_C18aor AEL_",
        "images/test/BCL_c1004.png → annotations/test/BCL_c1004.png test 0 BCL_c1004 BCL_",
    ],
    "crackseg9k": [
        "Final-Dataset-Vol1/Images/CRACK500_20160307_164400_1281_721.png → "
        "Final-Dataset-Vol1/Final_Masks/Masks/CRACK500_20160307_164400_1281_721.png train 1 "
        "CRACK500_/20160307_164400 CRACK500_",
        "Final-Dataset-Vol2/Images-2/noncrack_noncrack_concrete_wall_20_71.png → "
        "Final-Dataset-Vol1/Final_Masks/Masks/noncrack_noncrack_concrete_wall_20_71.png train 0 "
        "noncrack_/noncrack_concrete_wall_20 noncrack_",
        "Final-Dataset-Vol1/Images/Ceramic_12.png → Final-Dataset-Vol1/Final_Masks/Masks/Ceramic_12.png test 1 "
        "Ceramic_12 Ceramic_",
    ],
    "tut": [
        "train_img/road_QWlsNri.jpg → train_lab/road_QWlsNri.png train 1 train_img/road_QWlsNri -",
        "val_img/alternator_zyJnKaQ.jpg → val_lab/alternator_zyJnKaQ.png val 1 val_img/alternator_zyJnKaQ -",
        "test_img/wall_GcYTXFR.jpg → test_lab/wall_GcYTXFR.png test 1 test_img/wall_GcYTXFR -",
    ],
    "gaps384": [f"croppedimg/train_0541_{x}_641.jpg → croppedgt/train_0541_{x}_641.png test 1 train_0541 -"
                for x in (1, 541)],
    "cracktree260": [
        "CrackTree260_img/6192.jpg → CrackTree260_gt/gt/6192.bmp train 1 CrackTree260_img/6192 -",
        "CrackTree260_img/DSCN6428.JPG → CrackTree260_gt/gt/DSCN6428.bmp train 1 CrackTree260_img/DSCN6428 -",
    ],
    "crkwh100": ["CRKWH100/1000.png → CRKWH100_GT/1000.bmp test 1 CRKWH100/1000 -"],
    "crackls315": ["CrackLS315/0001-2.jpg → CrackLS315_gt/0001-2.bmp test 1 CrackLS315/0001-2 -"],
    "stone331": ["Stone331_img/738.jpg → Stone331_gt/738.bmp test 1 Stone331_img/738 -"],
}  # fmt: skip
ABOVE = {  # the folder of the tree above that [Dataset] root stands for
    "khanhha": "crack_segmentation_dataset",
    "codebrim": "classification_dataset",
    "tut": "TUT",
    "gaps384": "GAPs384",
    "cracktree260": "CrackTree260",
    "stone331": "Stone331",
}
WITH_MASKS = [name for name in FILES if name not in ("metu-classes", "codebrim")]


def drawn(path: Path, what: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "turned photo":  # held upright: stored as the camera sees it, with a note in its EXIF
        exif = Image.Exif()
        exif[274] = 6
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (WIDTH, HEIGHT, 3), np.uint8)).save(
            path, exif=exif
        )
    elif what.endswith("photo"):
        noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    elif what in ("crack", "0/1", "black"):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[CRACK_ROWS] = {"crack": 255, "0/1": 1, "black": 0}[what]
        Image.fromarray(mask).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    else:
        path.write_bytes(what.encode())


def grown(root: Path, files: Mapping[str, str]) -> Path:
    for seed, (name, what) in enumerate(files.items()):
        drawn(root / name, what, seed)
    return root


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workplace with the project's own settings, and a folder data/ beside."""
    for name in ("configs", "data"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HAIRLINE_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("HAIRLINE_DATA", str(tmp_path / "data"))
    return tmp_path


def laid(place: Path, name: str) -> Path:
    """The tree of a shipped data set, where its settings look for it."""
    above = ABOVE.get(name)
    files = {path.removeprefix(f"{above}/"): what for path, what in FILES[name].items()} if above else FILES[name]
    return grown(place / "data" / name, files)


def dataset(name: str) -> Dataset:
    settings.forget()
    Register.clear_instance_cache()
    return Dataset(dataset=name, variant="Execution.processes=1")


def refusal(stage: Dataset) -> str:
    with pytest.raises(HairlineError) as refused:
        made(stage)
    return str(refused.value)


# --- every shipped description


def test_every_shipped_description_is_tried_here() -> None:
    described = [name for name in settings.known("dataset") if resolved("Dataset", name).layout == "trees"]
    assert sorted(FILES) == sorted([*described, "metu-classes"])


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_description_reads_its_data_set_as_published(place: Path, name: str) -> None:
    laid(place, name)
    stage = made(dataset(name))
    found = {row.image: row for row in stage.rows}
    expected = dict(line.split(" → ") for line in ROWS[name])
    assert sorted(found) == sorted(expected)
    for image, line in expected.items():
        row, words = found[image], line.split()
        told = [row.mask or "-", words[1] if words[1] == "?" else row.split, str(row.label), row.group, row.part or "-"]
        assert told == words
    assert {row.split for row in stage.rows} <= {"train", "val", "test"}
    for photo in stage.photos("train", "val", "test"):
        mask = photo.mask()
        wanted = np.zeros((HEIGHT, WIDTH), bool)
        wanted[CRACK_ROWS] = photo.label == 1
        assert mask is None or (mask == wanted).all()
        assert (mask is None) == (name not in WITH_MASKS)


@pytest.mark.parametrize("name", WITH_MASKS)
def test_a_missing_mask_is_told_in_one_sentence(place: Path, name: str) -> None:
    root = laid(place, name)
    image, mask = next((image, line.split()[0]) for image, line in (row.split(" → ") for row in ROWS[name])
                       if line.split()[2] == "1")  # fmt: skip
    (root / mask).unlink()
    drawn(root / Path(image).with_name("another.png"), "photo", 99)  # so that the sets of one image keep a mask
    drawn(root / Path(mask).with_name(f"another{'_GT' * ('_GT' in Path(mask).stem)}.png"), "crack", 0)
    told = refusal(dataset(name))
    assert f"{image}: neither a mask nor a label; add one, or call its split unlabelled" in told


@pytest.mark.parametrize("name", WITH_MASKS)
def test_masks_in_a_wrong_folder_are_told_in_one_sentence(place: Path, name: str) -> None:
    root = laid(place, name)
    for line in ROWS[name]:
        (root / line.split(" → ")[1].split()[0]).unlink()
    told = refusal(dataset(name))
    if resolved("Trees", name).no_crack:
        assert "neither a mask nor a label" in told
    else:
        assert f"no mask fits [Trees] masks = {' or '.join(resolved('Trees', name).masks)}, but images are" in told


@pytest.mark.parametrize("name", FILES)
def test_images_in_a_wrong_folder_are_told_in_one_sentence(place: Path, name: str) -> None:
    grown(place / "data" / name, {"elsewhere/1.png": "photo"})
    told = refusal(dataset(name))
    wanted = " or ".join(resolved("Trees", name).images) or "crack/….jpg and no_crack/….jpg"
    assert f"no images of the layout '{resolved('Dataset', name).layout}' in {place}" in told
    assert f"it looks for {wanted}; found: elsewhere/1.png" in told


@pytest.mark.parametrize("name", ["khanhha", "tut", "cracktree260"])
def test_an_archive_as_published_is_the_same_data_set_as_its_folder(place: Path, name: str) -> None:
    laid(place, name)
    folder = dataset(name)
    images = [photo.id for photo in made(folder).photos("train", "test")]
    with zipfile.ZipFile(place / "data" / f"{name}.zip", "w") as packed:
        for path in sorted(path for path in (place / "data" / name).rglob("*") if path.is_file()):
            packed.write(path, Path(ABOVE[name]) / path.relative_to(place / "data" / name))
    Register.clear_instance_cache()
    archive = Dataset(dataset=name, variant="Execution.processes=1", root=f"{name}.zip")
    assert archive.key == folder.key
    assert [photo.id for photo in archive.photos("train", "test")] == images


def test_what_a_description_does_not_read_is_told(place: Path) -> None:
    laid(place, "stone331")
    warnings = made(dataset("stone331")).entry.checked("warnings.csv").read_text()
    assert (
        "Stone331_mask/738.bmp: not read; the layout 'trees' looks for what fits [Trees] images and masks" in warnings
    )


def test_whole_sets_are_groups_where_the_settings_say_so() -> None:
    described = dataclasses.replace(resolved("Trees", "khanhha"), groups=["*"])
    names = ("CFD_001", "CFD_002", "CRACK500_20160222_081011_1_361", "unknown_1")
    rows = trees([f"train/images/{name}.jpg" for name in names], dataclasses.replace(described, masks=[]), {}).rows
    assert {row.name: row.group for row in rows} == {
        "CFD_001": "CFD_",
        "CFD_002": "CFD_",
        "CRACK500_20160222_081011_1_361": "CRACK500_",
        "unknown_1": "unknown_1",
    }


# --- a description of one's own


def own(place: Path, text: str) -> Dataset:
    (place / "configs" / "mine.toml").write_text(f'recipe = "quick"\n[Dataset]\nlayout = "trees"\n{text}')
    return dataset("mine")


def test_a_user_describes_two_trees_without_code(place: Path) -> None:
    grown(
        place / "data" / "mine",
        {
            "photos/2026/a.jpg": "photo", "photos/2026/b.jpg": "photo", "photos/2027/a.jpg": "photo",
            "drawn/2026/a_lab.png": "crack", "drawn/2027/a_lab.png": "0/1",
        },
    )  # fmt: skip
    text = '[Trees]\nimages = ["photos/{folder}/{name}.jpg"]\nmasks = ["drawn/{folder}/{name}_lab.png"]\n'
    assert "photos/2026/b.jpg: neither a mask nor a label" in refusal(own(place, text))
    stage = made(own(place, f'{text}without_mask = "no_crack"\n'))
    assert {(row.image, row.mask, row.label) for row in stage.rows} == {
        ("photos/2026/a.jpg", "drawn/2026/a_lab.png", 1),
        ("photos/2027/a.jpg", "drawn/2027/a_lab.png", 1),
        ("photos/2026/b.jpg", "", 0),
    }
    assert len({row.group for row in stage.rows}) == 3


def test_masks_may_be_black_on_white(place: Path) -> None:
    root = place / "data" / "mine"
    for number in range(3):
        drawn(root / f"{number}.jpg", "photo", number)
        mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
        mask[CRACK_ROWS] = 0
        Image.fromarray(mask).save(root / f"{number}_mask.png")
    text = 'mask_inverted = true\n[Trees]\nimages = ["{name}.jpg"]\nmasks = ["{name}_mask.png"]\n'
    photos = made(own(place, text)).photos("train", "val", "test")
    assert [photo.checked_mask().sum() for photo in photos] == [3 * WIDTH] * 3


def test_whether_there_are_masks_is_told_by_the_description(place: Path) -> None:
    assert own(place, '[Trees]\nimages = ["{name}"]\nmasks = ["{name}_GT"]\n').source.has_masks()
    assert not own(place, '[Trees]\nimages = ["{name}"]\n').source.has_masks()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "[Trees] images is empty; say where they lie"),
        ('[Trees]\nimages = ["images/{nam}"]\n', "images = 'images/{nam}'; in braces are allowed: split, name, folder"),
        ('[Trees]\nimages = ["images/{name"]\n', "images = 'images/{name'; in braces are allowed"),
        ('[Trees]\nimages = ["images/*"]\n', "images = 'images/*'; needed: {name} in it"),
        ('[Trees]\nimages = ["/data/{name}"]\n', "images = '/data/{name}'; allowed: folders and a name with / between"),
        ('[Trees]\nimages = ["../{name}"]\n', "images = '../{name}'; allowed: folders and a name with / between them"),
        ('[Trees]\nimages = ["{name}"]\ngroups = ["a/{group}"]\n', "groups = 'a/{group}'; allowed: a name without"),
        ('[Trees]\nimages = ["{name}"]\nsplit_lists = ["train.txt"]\n', "'train.txt'; needed: {split} in it"),
        ('[Trees]\nimages = ["{name}"]\nlabel_lists = ["a.xml"]\n', 'label_tag = ""; name the element that says 1'),
        ('[Trees]\nimages = ["{name}"]\nwithout_mask = "skip"\n', "without_mask = 'skip'; allowed: 'fail', 'no_crack'"),
        ('[Trees]\nimages = "{name}"\n', "[Trees] images = '{name}'; allowed: a list"),
        ('[Trees]\nimages = ["{name}"]\nsplit_lists = ["{split}.txt"]\n', "no file fits [Trees] split_lists = {split}"),
        ('[Trees]\nimages = ["{name}"]\nlabel_lists = ["a.xml"]\nlabel_tag = "Crack"\n', "a.xml is not valid XML ("),
        ('[Trees]\nimages = ["{name}"]\ncrack = ["a*"]\nno_crack = ["a"]\n', "a.jpg: fits both [Trees] crack and no"),
    ],
)  # fmt: skip
def test_a_slip_in_a_description_is_one_sentence(place: Path, text: str, sentence: str) -> None:
    grown(place / "data" / "mine", {"a.jpg": "photo", "a.xml": "<oh"})
    with pytest.raises((SettingsError, HairlineError)) as told:
        made(own(place, text))
    assert sentence in str(told.value)


@pytest.mark.parametrize("name", knobs.fields(TreesKnobs))
def test_every_knob_of_a_description_changes_the_key_where_the_layout_is_described_and_only_there(
    place: Path, name: str
) -> None:
    other = {"without_mask": '"unlabelled"', "label_tag": '"Crack"'}.get(name, '["b/{split}/{name}"]')
    if name in ("groups", "sources"):
        other = '["b{group}"]'
    grown(place / "data" / "mine", {"images/a.jpg": "photo"})

    def key(layout: str, text: str) -> str:
        (place / "configs" / "mine.toml").write_text(f'recipe = "quick"\n[Dataset]\nlayout = "{layout}"\n{text}')
        return dataset("mine").key

    beside = 'label_tag = "x"\n' if name == "label_lists" else ""
    text = f"[Trees]\n{beside}"
    assert key("trees", text) != key("trees", f"{text}{name} = {other}\n")
    assert key("folders", text) == key("folders", f"{text}{name} = {other}\n")


# --- patterns


@pytest.mark.parametrize(
    ("pattern", "path", "places"),
    [
        ("{split}_img/{name}.jpg", "a/b/Train_img/x.y.JPG", {"split": "train", "name": "x.y"}),
        ("{split}/{name}", "validation/x.png", {"split": "val", "name": "x"}),
        ("{split}/{name}", "trains/x.png", None),
        ("images/{name}", "images/sub/x.png", None),
        ("images/{folder}/{name}", "images/2026/05/x.png", {"folder": "2026/05", "name": "x"}),
        ("images/{name}", "myimages/x.png", None),
        ("{name}/images/{name}", "a1/images/a1.png", {"name": "a1"}),
        ("{name}/images/{name}", "a1/images/a2.png", None),
        ("{name}_GT", "x_GT.png", {"name": "x"}),
        ("{name}_GT", "x_GT.txt", None),
        ("{name}.jpg", "x.png", None),
        ("{name}", "ä ö(1)\n[x].png", {"name": "ä ö(1)\n[x]"}),
        ("non.crack*", "nonxcrack.png", None),
    ],
)
def test_a_pattern_is_the_end_of_a_path(pattern: str, path: str, places: dict[str, str] | None) -> None:
    assert Pattern(pattern, (".png", ".jpg"))(path) == places


def test_what_fits_the_masks_is_no_image_and_a_pairing_is_never_a_guess() -> None:
    described = dataclasses.replace(NOTHING, images=["{name}"], masks=["{name}_lab", "{name}_pre"])
    found = trees(["x.jpg", "x_lab.png", "x_pre.png", "y.jpg", "y_lab.png", "z_lab.png", "w.gif"], described, {})
    assert [(row.image, row.mask) for row in found.rows] == [("y.jpg", "y_lab.png")]
    assert [str(problem) for problem in found.problems] == [
        f"w.gif: no accepted kind of image; save it as one of {', '.join(on_disk.IMAGE_SUFFIXES)}",
        "x.jpg: several masks match (x_lab.png, x_pre.png); keep one",
        "z_lab.png: a mask without an image: none has its name; rename or remove it",
    ]


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12)


@given(st.sets(NAMES.filter(lambda name: "_lab" not in name.lower()), min_size=1, max_size=8), st.randoms())
@hypothesis_settings(deadline=None)
def test_every_image_finds_its_own_mask_whatever_the_names(names: set[str], order: random.Random) -> None:
    described = dataclasses.replace(NOTHING, images=["{split}/{name}.jpg"], masks=["{split}/{name}_lab.png"])
    ends = itertools.product(names, ("train", "test"))
    paths = [path for name, split in ends for path in (f"{split}/{name}.jpg", f"{split}/{name}_lab.png")]
    order.shuffle(paths)
    found = trees(paths, described, {})
    assert found.problems == []
    assert {(row.image, row.mask, row.split) for row in found.rows} == {
        (f"{split}/{name}.jpg", f"{split}/{name}_lab.png", split) for name in names for split in ("train", "test")
    }
    assert len({row.group for row in found.rows}) == 2 * len(names)


def test_a_description_says_what_a_layout_of_code_says() -> None:
    paths = [f"{half}_{kind}/{name}.{end}" for half in ("train", "test") for name in ("11122-3", "IMG16", "IMG25-1")
             for kind, end in (("img", "jpg"), ("lab", "png"))]  # fmt: skip
    described = dataclasses.replace(
        NOTHING, images=["{split}_img/{name}"], masks=["{split}_lab/{name}"], groups=["{group}-#"]
    )
    for some in (paths, [path for path in paths if path.startswith("train")]):
        assert trees(some, described, {}).rows == on_disk.dcd(some).rows


# --- lists


SPLIT_BY = dataclasses.replace(NOTHING, images=["{folder}/{name}"], split_lists=["{split}.txt"])
IMAGES = ["a/1.jpg", "a/2.jpg", "b/1.jpg"]


@pytest.mark.parametrize(
    "lines",
    ["a/1.jpg\na/2.jpg", "./a/1\r\n2", "a\\1.jpg\n\n  2.jpg  ", "a/1.jpg a/1.png\na/2.jpg a/2.png", "a/1\n/x/2.jpg"],
)  # fmt: skip
def test_a_list_names_images_by_path_or_by_name(lines: str) -> None:
    texts = {"train.txt": lines, "test.txt": "b/1.jpg"}
    assert lists_of([*IMAGES, *texts], SPLIT_BY) == sorted(texts)
    found = trees([*IMAGES, *texts], SPLIT_BY, texts)
    assert found.problems == []
    assert {row.image: row.split for row in found.rows} == {"a/1.jpg": "train", "a/2.jpg": "train", "b/1.jpg": "test"}
    assert found.unread([*IMAGES, *texts]) == []


def test_what_lists_leave_open_is_told() -> None:
    texts = {"train.txt": "a/1.jpg\n1.jpg\n3.jpg", "test.txt": "a/1.jpg"}
    found = trees([*IMAGES, *texts], SPLIT_BY, texts)
    assert sorted(map(str, found.problems)) == [
        "a/1.jpg: is in the lists of several splits (train.txt, test.txt); keep it in one list, or remove it",
        "a/2.jpg: no list names it (train.txt, test.txt); keep it in one list, or remove it",
        "b/1.jpg: no list names it (train.txt, test.txt); keep it in one list, or remove it",
        "train.txt, line 2: 1.jpg: 2 images are called so; correct or remove the line",
        "train.txt, line 3: 3.jpg: there is no such image; correct or remove the line",
    ]
