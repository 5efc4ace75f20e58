"""The stage Dataset: from a folder of photos to an index that everything else can trust."""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from luigi.task_register import Register
from PIL import Image

from tasks import Dataset
from tasks.core import settings
from tasks.core.cache import Draft
from tasks.core.errors import HairlineError, SettingsError, StageError
from tests.conftest import ROOT, luigi_in, made

SETTINGS = 'recipe = "quick"\n\n[Execution]\nprocesses = 1\n\n[Dataset]\n'
Build = Callable[..., Dataset]


def photo(path: Path, seed: int, size: tuple[int, int] = (48, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def mask(path: Path, cracked: bool = True, size: tuple[int, int] = (48, 40)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((size[1], size[0]), np.uint8)
    values[5:8] = 255 * cracked
    Image.fromarray(values).save(path)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/mine with two training images and a test image, and their masks."""
    for name in ("configs", "data"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HAIRLINE_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("HAIRLINE_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("HAIRLINE_DATA", str(tmp_path / "data"))
    for seed, name in enumerate(("train/a", "train/b", "test/c")):
        photo(tmp_path / "data" / "mine" / "images" / f"{name}.png", seed)
        mask(tmp_path / "data" / "mine" / "masks" / f"{name}.png")
    return tmp_path / "data" / "mine"


def dataset(folder: Path, name: str = "mine", text: str = "") -> Dataset:
    """The stage with these settings, as a new process would see it."""
    (folder.parent.parent / "configs" / f"{name}.toml").write_text(SETTINGS + text)
    settings.forget()
    Register.clear_instance_cache()
    return Dataset(dataset=name)


def refusal(stage: Dataset) -> str:
    """The sentence with which a data set is refused; nothing may be left of it."""
    with pytest.raises(HairlineError) as refused:
        made(stage)
    assert not stage.complete()
    assert not list(stage.entry.folder.parent.glob(".draft-*"))
    return str(refused.value)


def rejected(stage: Dataset, name: str = "rejected.csv") -> list[dict[str, str]]:
    with (stage.entry.folder / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_photo_is_found_with_its_mask_its_label_and_its_size(data: Path) -> None:
    mask(data / "masks" / "train" / "b.png", cracked=False)
    stage = made(dataset(data))
    first, second = stage.photos("train")
    assert (first.label, second.label) == (1, 0)
    assert first.id.startswith("a-")
    assert first.shape_hw == first.image().shape[:2] == (40, 48)
    found = first.mask()
    assert found is not None
    assert found.sum() == 3 * 48
    assert len(stage.photos("train", "test")) == 3
    assert stage.photo("a", "train") == first
    with pytest.raises(StageError, match="0 train images of mine are called 'z'; ids are such as a-"):
        stage.photo("z", "train")


def test_the_same_data_in_another_place_have_the_same_key_and_a_changed_pixel_has_another(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dataset(data).key
    (tmp_path / "elsewhere").mkdir()
    data.rename(tmp_path / "elsewhere" / "mine")
    monkeypatch.setenv("HAIRLINE_DATA", str(tmp_path / "elsewhere"))
    assert dataset(data).key == before
    photo(tmp_path / "elsewhere" / "mine" / "images" / "train" / "a.png", seed=9)
    assert dataset(data).key != before


def test_a_root_may_be_absolute_or_begin_at_home(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = dataset(data).key
    monkeypatch.delenv("HAIRLINE_DATA")
    monkeypatch.setenv("HOME", str(data.parent))
    assert dataset(data, text=f'root = "{data}"').key == key
    assert dataset(data, text='root = "~/mine"').key == key
    assert dataset(data, text='root = "mine"').source.root() == ROOT / "data" / "mine"


def test_an_archive_is_as_good_as_a_folder(data: Path) -> None:
    expected = [photo.id for photo in made(dataset(data)).photos("train", "test")]
    with zipfile.ZipFile(data.parent / "mine.zip", "w") as archive:
        for path in sorted(data.rglob("*.png")):
            archive.write(path, path.relative_to(data))
    stage = made(dataset(data, text='root = "mine.zip"'))
    assert [photo.id for photo in stage.photos("train", "test")] == expected


@pytest.mark.parametrize("wrapping", ["", "mine", "a/b"])
def test_the_same_data_as_a_folder_and_as_an_archive_have_one_key_and_planning_unpacks_nothing(
    data: Path, wrapping: str
) -> None:
    (data / "images" / ".hidden").write_text("x")
    folder = dataset(data).key
    with zipfile.ZipFile(data.parent / "mine.zip", "w") as archive:
        for path in sorted(data.rglob("*.*")):
            archive.write(path, Path(wrapping) / path.relative_to(data))
    zipped = dataset(data, text='root = "mine.zip"')
    assert zipped.key == folder
    outputs = data.parent.parent / "outputs"
    assert {path.name for path in outputs.iterdir()} == {".fingerprints"}, "nothing but notes"
    assert len(made(zipped).photos("train", "test")) == 3
    assert ".unpacked" in {path.name for path in outputs.iterdir()}


def bad_text(path: Path) -> None:
    path.write_text("hello")


def bad_fifo(path: Path) -> None:
    os.mkfifo(path)


def bad_small(path: Path) -> None:
    photo(path, 3, size=(31, 40))


BAD: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "text": ("images/train/x.png", bad_text, "images/train/x.png: not an image"),
    "a FIFO": ("images/train/x.png", bad_fifo, "images/train/x.png: not a regular file"),
    "a link to nothing": ("images/train/x.png", lambda path: path.symlink_to("gone"), "or it is a link to nothing"),
    "a link to itself": ("images/train/x.png", lambda path: path.symlink_to(path), "leads back to itself"),
    "too small": (
        "images/train/x.png",
        bad_small,
        "31×40 pixels; allowed: sides of at least [Dataset] min_side_px = 32",
    ),
    "without mask or label": ("images/train/x.png", lambda path: photo(path, 3), "x.png: neither a mask nor a label"),
    "a mask of another size": (
        "masks/train/a.png",
        lambda path: mask(path, size=(40, 48)),
        "mask of 40×48 for an image",
    ),
    "an orphan mask": ("masks/train/x.png", mask, "masks/train/x.png: a mask without an image"),
    "two masks": ("masks/train/a.bmp", mask, "several masks match (masks/train/a.bmp, masks/train/a.png); keep one"),
    "another kind of image": ("images/train/x.gif", bad_text, "images/train/x.gif: no accepted kind of image"),
    "an unknown split": ("images/trian/x.png", lambda path: photo(path, 3), "'trian' is no split; allowed: train"),
    "a name that is no UTF-8": (os.fsdecode(b"images/train/\xff.png"), bad_text, "its name is not UTF-8; rename it"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_told_before_anything_is_trained_and_can_be_left_out(data: Path, case: str) -> None:
    name, make, sentence = BAD[case]
    photo(data / "images" / "train" / "good.png", 77)
    mask(data / "masks" / "train" / "good.png")
    (data / name).parent.mkdir(exist_ok=True)
    make(data / name)
    told = refusal(dataset(data))
    assert "1 bad files, mend or remove them" in told
    assert sentence in told
    stage = made(dataset(data, text='on_bad_image = "skip"'))
    assert len(rejected(stage)) == 1
    assert sentence in rejected(stage)[0]["reason"]
    assert "1 bad ones left out (rejected.csv)" in stage.entry.manifest()["result"]


def test_all_bad_files_are_told_at_once(data: Path) -> None:
    for number in range(50):
        bad_text(data / "images" / "train" / f"x{number:02}.png")
    told = refusal(dataset(data))
    assert told.count("not an image") == 40
    listed = data.parent.parent / "outputs" / "dataset" / ".rejected-mine.csv"
    assert f"and 10 more: all of them are in {listed}" in told
    assert listed.read_text().count("not an image") == 50


NAMES = ["-a", "ü ö", "a'\"b", "100%", "x,y;z", "new\nline", "car\rriage", "nan", "1e5", "漢字", "b" * 251]


def test_names_may_be_whatever_a_file_system_allows(data: Path) -> None:
    for seed, name in enumerate(NAMES, start=10):
        photo(data / "images" / "train" / f"{name}.png", seed)
        mask(data / "masks" / "train" / f"{name}.png")
    photos = made(dataset(data)).photos("train")
    assert len(photos) == len(NAMES) + 2
    assert len({photo.id for photo in photos}) == len(photos)
    assert {photo.image_path.stem for photo in photos} >= set(NAMES)
    assert all(photo.mask() is not None and photo.image().shape == (40, 48, 3) for photo in photos)


def test_hidden_files_are_ignored_and_counted_and_links_to_folders_are_followed_once(data: Path) -> None:
    for name in (".DS_Store", "._a.png", "Thumbs.db"):
        (data / "images" / "train" / name).write_text("x")
    (data / "images" / "train" / "loop").symlink_to(data)
    (data / "images").rename(data.parent / "images")
    (data / "images").symlink_to(data.parent / "images")
    stage = made(dataset(data))
    assert (
        "3 images (train 2, val 0, test 1), 3 with cracks, 3 hidden files ignored" in stage.entry.manifest()["result"]
    )


def test_a_missing_folder_says_where_the_data_are_expected(data: Path) -> None:
    with pytest.raises(StageError, match=r"the data of mine are not at .*/nowhere; put them there, or name the place"):
        dataset(data, text='root = "nowhere"').fingerprint()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('layout = "cfd"', "no images of the layout 'cfd'"),
        ('layout = "cfd"', "it looks for image/001.jpg and groundTruth/001.mat; found: images/test/c.png"),
        ('layout = "csv"', "labels.csv; write it, with the columns image,mask,split,label"),
        ('exclude = ["z"]', "[Dataset] exclude: no image is called z; correct or remove the name"),
        ('exclude = ["c"]', "the test split of mine is empty; put images for it into"),
        ('test_names = ["a", "b"]', "the train split of mine is empty"),
        ('val_names = ["a"]\ntest_names = ["a"]', "a in the names of several splits"),
        ("max_pixels = 100", "48×40 pixels; allowed: [Dataset] max_pixels = 100"),
        ('layout = "combined"', "name the other data sets that it is made of"),
        ('layout = "combined"\nparts = ["mine"]', "name the other data sets that it is made of"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_one_sentence(data: Path, text: str, sentence: str) -> None:
    with pytest.raises((StageError, SettingsError)) as refused:
        made(dataset(data, text=text))
    assert sentence in str(refused.value)


def test_the_same_pixels_in_two_splits_are_refused_whatever_the_files(data: Path) -> None:
    Image.open(data / "images" / "train" / "a.png").save(data / "images" / "test" / "other.bmp")
    mask(data / "masks" / "test" / "other.png")
    told = refusal(dataset(data))
    assert "the same image is in several splits (2: images/test/other.bmp, images/train/a.png); keep each" in told
    assert made(dataset(data, text='on_duplicate = "warn"')).complete()


def test_crops_of_one_photo_in_two_splits_are_refused(data: Path) -> None:
    for seed, name in enumerate(("traincrop/p_1_1", "testcrop/p_641_1")):
        photo(data / f"{name}.jpg", seed)
        mask(data / f"{name}.png")
    told = refusal(dataset(data, text='layout = "crack500"'))
    assert "images of one photo are in several splits (1: p); keep each in one split only" in told
    assert made(dataset(data, text='layout = "crack500"\non_shared_photo = "warn"')).complete()


def test_a_label_that_its_mask_contradicts_is_told(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = ["image,mask,split,label"]
    lines += [f"images/{name}.png,masks/{name}.png,{name[:-2]},crack" for name in ("train/a", "train/b", "test/c")]
    (data / "labels.csv").write_text("\n".join(lines).replace("train,crack", "train,no_crack", 1))
    sentence = "the label says no_crack, but the mask has crack pixels; correct one of them"
    stage = made(dataset(data, text='layout = "csv"'))
    assert sentence in capfd.readouterr().err
    assert sentence in rejected(stage, "warnings.csv")[0]["reason"]
    assert {photo.label for photo in stage.photos("train")} == {1}
    assert sentence in refusal(dataset(data, text='layout = "csv"\non_contradiction = "fail"'))


def test_a_table_that_is_no_utf8_is_refused(data: Path) -> None:
    (data / "labels.csv").write_bytes(b"image\n\xff\xfe.png\n")
    assert "labels.csv is not UTF-8; save it as CSV in UTF-8" in refusal(dataset(data, text='layout = "csv"'))


def only_labels(folder: Path, crack: int = 10, no_crack: int = 10) -> Path:
    for seed in range(crack + no_crack):
        photo(folder / ("crack" if seed < crack else "no_crack") / f"{seed}.png", seed)
    return folder


def test_images_with_labels_only_are_shared_out_and_their_patches_have_their_label(data: Path) -> None:
    from tasks import Patches

    only_labels(data.parent / "labels")
    stage = made(dataset(data, "labels", 'layout = "classes"\n[Patches]\ngeometry = "none"'))
    assert "20 images (train 14, val 2, test 4), 10 with cracks" in stage.entry.manifest()["result"]
    assert all(photo.mask() is None for photo in stage.photos("train", "val", "test"))
    patches = made(Patches(dataset="labels"))
    rows = patches.rows("train")
    assert [int(label) for label in rows.label] == [photo.label for photo in stage.photos("train")]


def test_photos_that_are_not_read_are_named_folder_by_folder(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = only_labels(data.parent / "labels")
    unread = [f"maybe/2026/{number}.png" for number in (30, 31, 32)]
    for seed, name in enumerate(unread, start=30):
        photo(folder / name, seed)
    (folder / "notes.txt").write_text("x")
    (folder / "crack" / "2026-01").mkdir()
    (folder / "crack" / "0.png").rename(folder / "crack" / "2026-01" / "0.png")
    stage = made(dataset(data, "labels", 'layout = "classes"'))
    result = stage.entry.manifest()["result"]
    assert "20 images" in result, "one of them lies deeper"
    assert "4 files not read (warnings.csv)" in result
    told = "warning: maybe/2026/: 3 pictures not read, such as maybe/2026/30.png; the layout 'classes' looks for crack/"
    assert told in capfd.readouterr().err
    assert [row["path"] for row in rejected(stage, "warnings.csv")] == [*unread, "notes.txt"]


def test_the_same_pixels_with_two_answers_are_told(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = only_labels(data.parent / "labels")
    Image.open(folder / "crack" / "0.png").save(folder / "no_crack" / "again.bmp")
    text = 'layout = "classes"\non_duplicate = "warn"'
    sentence = "the same image has two answers (2: crack/0.png, no_crack/again.bmp); keep each in one class only"
    made(dataset(data, "labels", text))
    assert f"warning: {sentence}" in capfd.readouterr().err
    assert sentence in refusal(dataset(data, "labels", f'{text}\non_contradiction = "fail"'))


def test_bad_files_and_photos_in_two_splits_are_told_at_once(data: Path) -> None:
    bad_text(data / "images" / "train" / "x.png")
    Image.open(data / "images" / "train" / "a.png").save(data / "images" / "test" / "other.bmp")
    mask(data / "masks" / "test" / "other.png")
    told = refusal(dataset(data))
    assert "1 bad files, mend or remove them" in told
    assert "the same image is in several splits (2: images/test/other.bmp, images/train/a.png)" in told


def test_labels_of_one_kind_only_are_refused_before_training(data: Path) -> None:
    only_labels(data.parent / "labels", no_crack=0)
    told = refusal(dataset(data, "labels", 'layout = "classes"'))
    assert "training images of labels have the same label and no mask; a classifier needs images with and with" in told


def test_a_bad_image_that_nobody_labelled_is_left_out_with_a_warning(
    data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad_text_path = data / "images" / "unlabelled" / "x.png"
    bad_text_path.parent.mkdir()
    bad_text(bad_text_path)
    photo(data / "images" / "unlabelled" / "y.png", 50)
    stage = made(dataset(data))
    assert "x.png: not an image" in capfd.readouterr().err
    assert "4 images (train 2, val 0, test 1, unlabelled 1)" in stage.entry.manifest()["result"]
    assert [photo.label for photo in stage.photos("unlabelled")] == [-1]


def test_combined_data_sets_keep_their_own_splits_and_rules(data: Path) -> None:
    only_labels(data.parent / "labels")
    parts = [made(dataset(data, "labels", 'layout = "classes"')), made(dataset(data))]
    text = 'layout = "combined"\nparts = ["mine", "labels"]\nmax_images = 5'
    (data.parent.parent / "configs" / "both.toml").write_text(SETTINGS + text)
    stage = made(Dataset(dataset="both"))
    assert [part.key for part in stage.upstream().values()] == [parts[1].key, parts[0].key]
    assert len(stage.photos("train")) == 5
    assert len(stage.photos("test")) == 1 + 4
    assert {photo.id.split("-")[0] for photo in stage.photos("test")} == {"mine", "labels"}
    assert all(photo.image().shape == (40, 48, 3) for photo in stage.photos("train", "val", "test"))


def test_several_processes_make_the_same_index(data: Path) -> None:
    only_labels(data.parent / "labels", 40, 40)
    stage = made(dataset(data, "labels", 'layout = "classes"'))
    alone = (stage.entry.folder / "index.csv").read_bytes()
    workplace = data.parent.parent
    subprocess.run(["rm", "-r", str(workplace / "outputs")], check=True)
    done = luigi_in(workplace, "Dataset", "--dataset", "labels", "--Execution-processes", "3")
    assert done.returncode == 0, done.stderr
    assert (stage.entry.folder / "index.csv").read_bytes() == alone


COUNT = 100_000
RESTART = """
from pathlib import Path
from tasks import Dataset
assert Dataset(dataset="many").complete()
status = Path("/proc/self/status").read_text().splitlines()  # of this program; getrusage remembers its parent too
print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:")))
"""


@pytest.mark.slow
def test_a_hundred_thousand_images_restart_within_five_seconds_in_little_memory(data: Path) -> None:
    folder = data.parent / "many"
    sources = [folder / "crack" / "0.png", folder / "no_crack" / "0.png"]
    for seed, source in enumerate(sources):
        photo(source, seed, size=(32, 32))
    for number in range(1, COUNT // 2):
        for source in sources:
            os.link(source, source.with_name(f"{number}.png"))
    text = 'layout = "classes"\non_duplicate = "warn"'
    (data.parent.parent / "configs" / "many.toml").write_text(SETTINGS.replace("= 1", "= 2") + text)
    words = ("Dataset", "--dataset", "many")
    first = luigi_in(data.parent.parent, *words)
    assert first.returncode == 0, first.stderr
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    started = time.monotonic()
    again = luigi_in(data.parent.parent, *words)
    seconds = time.monotonic() - started
    assert (again.returncode, "✓" in again.stderr) == (0, False)
    restarted = subprocess.run([sys.executable, "-c", RESTART], cwd=ROOT, capture_output=True, text=True, check=True)
    print(f"{first.stderr.splitlines()[-1]}; restart {seconds:.1f} s, {restarted.stdout.strip()} MB; peak {peak_mb} MB")
    assert seconds < 5
    assert int(restarted.stdout) < 400


def test_data_that_change_after_planning_or_while_it_runs_are_not_kept_under_the_old_key(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = dataset(data)
    assert planned.key
    photo(data / "images" / "train" / "b.png", 99)
    assert refusal(planned) == "Dataset: the data changed while running; run the same command again"
    again = dataset(data)
    make = type(again).make

    def disturbed(stage: Dataset, draft: Draft) -> str:
        photo(data / "images" / "train" / "a.png", 98)
        return make(stage, draft)

    monkeypatch.setattr(Dataset, "make", disturbed)
    assert "the data changed while running" in refusal(again)
