"""The road of people with photos and no masks: Start, Answer, Predict; killed anywhere, it goes on."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.demo.photos import demo_photo
from pipeline.layouts.answered import answered, labels_of
from tasks import Dataset, PseudoLabels
from tasks.core import settings
from tasks.intake.answers import AnswerStore
from tasks.intake.fingerprint import of_folder
from tasks.photos.photo_folder import photo_folder
from tests.conftest import Luigi, luigi_in, made, read_rows


def draw(folder: Path, count: int = 3, cracked: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        photo = demo_photo(5, "test", index, cracked=cracked)
        Image.fromarray(photo.image_rgb).save(folder / f"IMG {index}.jpg", quality=95)
    return folder


def results(workplace: Path, *parts: str) -> Path:
    return workplace.joinpath("outputs", "answers", *parts)


# --- answers as a layout


def test_the_last_answer_stands_and_what_was_skipped_or_taken_back_is_none() -> None:
    given = {("a.jpg", ""): "crack", ("b.jpg", ""): "skip", ("c.jpg", "0 0 8 8"): "no_crack", ("d.jpg", ""): "undone"}
    assert labels_of(given) == {("a.jpg", ""): 1, ("c.jpg", "0 0 8 8"): 0}


def test_every_answered_tile_is_a_photo_and_all_tiles_of_a_photo_stay_on_one_side_of_a_split() -> None:
    given = {("n/a.jpg", "0 0 8 8"): "crack", ("n/a.jpg", "8 0 16 8"): "no_crack"}
    found = answered(["n/a.jpg", "b.png", "notes.txt"], given, "answers.csv")
    assert [(row.image, row.tile, row.label, row.split) for row in found.rows] == [
        ("n/a.jpg", "0 0 8 8", 1, ""),
        ("n/a.jpg", "8 0 16 8", 0, ""),
        ("b.png", "", -1, "unlabelled"),
    ]
    assert len({row.id for row in found.rows}) == 3
    assert found.rows[0].group == found.rows[1].group


def test_an_answer_for_a_photo_that_is_gone_is_told() -> None:
    found = answered(["b.png"], {("a.jpg", ""): "crack"}, "bridge.answers.csv")
    assert [(each.path, "put it back" in each.reason) for each in found.problems] == [("a.jpg", True)]


def test_a_tile_is_read_from_its_photo_and_an_answer_more_changes_the_key(tiny: Path) -> None:
    folder = tiny / "photos"
    folder.mkdir()
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:, 64:] = 200
    for name in ("a", "b", "c", "d"):
        cv2.imwrite(str(folder / f"{name}.png"), picture + ord(name) % 7)
    (tiny / "configs" / "bridge.toml").write_text(
        f'recipe = "photos"\n[Dataset]\nlayout = "answers"\nroot = "{folder}"\ntest_share = 0.5\nval_share = 0.0\n'
    )
    store = AnswerStore(settings.answers_file("bridge"))
    for name in "abcd":
        store.append(f"{name}.png", "64 0 96 32", "crack")
        store.append(f"{name}.png", "0 0 32 32", "no_crack")
    stage = made(Dataset(dataset="bridge"))
    photos = stage.photos("train", "test")
    assert sorted((photo.shape_hw, photo.label, int(photo.image().mean()) > 100) for photo in photos) == [
        *[((32, 32), 0, False)] * 4,
        *[((32, 32), 1, True)] * 4,
    ]
    Dataset.clear_instance_cache()
    assert Dataset(dataset="bridge").key == stage.key
    store.append("a.png", "64 0 96 32", "no_crack")
    Dataset.clear_instance_cache()
    changed = Dataset(dataset="bridge").key
    store.append("a.png", "64 0 96 32", "crack")  # taken back: what was computed before is valid again
    Dataset.clear_instance_cache()
    assert Dataset(dataset="bridge").key == stage.key != changed


# --- Start


def test_start_says_what_it_understood_and_never_writes_over_a_settings_file(tiny: Path, luigi_run: Luigi) -> None:
    folder = draw(tiny / "photos")
    shutil.copy(folder / "IMG 0.jpg", folder / "again.jpg")
    (folder / "broken.jpg").write_bytes((folder / "IMG 0.jpg").read_bytes()[:900])
    (folder / "notes.txt").write_text("x")
    turned = Image.open(folder / "IMG 1.jpg")
    exif = turned.getexif()
    exif[274] = 6
    turned.save(folder / "turned.jpg", exif=exif)
    done = luigi_run("Start", "--dataset", "bridge", "--root", str(folder))
    assert done.returncode == 0, done.stderr
    for words in (
        "5 photos can be read",
        "1 are turned",
        "broken.jpg: truncated",
        "there twice: IMG 0.jpg = again.jpg",
    ):
        assert words in done.stderr.replace("again.jpg = IMG 0.jpg", "IMG 0.jpg = again.jpg"), done.stderr
    assert "1 other files are not looked at, such as notes.txt" in done.stderr
    assert "next: luigi --module tasks Answer --dataset bridge" in done.stdout
    written = (tiny / "configs" / "bridge.toml").read_text()
    assert 'layout = "answers"' in written and str(folder) in written
    again = luigi_run("Start", "--dataset", "bridge", "--root", str(folder))
    assert again.returncode == 2 and "is there already and stays as it is" in again.stderr
    assert (tiny / "configs" / "bridge.toml").read_text() == written


def test_start_sees_folders_of_answers(tiny: Path, luigi_run: Luigi) -> None:
    draw(tiny / "photos" / "crack")
    draw(tiny / "photos" / "no_crack", cracked=False)
    done = luigi_run("Start", "--dataset", "bridge", "--root", str(tiny / "photos"))
    assert done.returncode == 0, done.stderr
    assert 'layout = "classes"' in (tiny / "configs" / "bridge.toml").read_text()
    plan = luigi_run("Plan", "--dataset", "bridge")
    assert plan.returncode == 0 and "answers" in plan.stdout, plan.stderr


# --- Predict


def test_two_photos_that_differ_in_their_suffix_alone_keep_it_in_the_names_of_their_results(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "a/x.PNG", "a/y.jpg", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    found = photo_folder(str(tmp_path))
    assert [photo.stem for photo in found.photos] == ["a/x.PNG", "a/x.jpg", "a/y"]
    assert found.others == ("a/notes.txt",)


def test_one_command_answers_for_new_photos_before_any_answer_was_given(tiny: Path, luigi_run: Luigi) -> None:
    folder = draw(tiny / "new")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = luigi_run("Predict", "--images", str(folder), "--mm-per-px", "0.5", "--Execution-threads", "1")
    assert done.returncode == 0, done.stderr
    there = results(tiny, "starter", "new")
    assert done.stdout.splitlines()[-1] == str(there)
    names = {"report.html", "cracks.csv", "photos.csv", "cracks.geojson", "run.json", "rejected.csv"}
    assert names <= {path.name for path in there.iterdir()}
    for index in range(3):
        mask = cv2.imread(str(there / "masks" / f"IMG {index}.png"), cv2.IMREAD_UNCHANGED)
        photo = cv2.imread(str(folder / f"IMG {index}.jpg"))
        assert mask.shape == photo.shape[:2]
        assert set(np.unique(mask)) <= {0, 255}
        assert (there / "overlays" / f"IMG {index}.jpg").is_file()
    assert [row["photo"] for row in read_rows(there / "rejected.csv")] == ["broken.jpg"]
    rows = read_rows(there / "cracks.csv")
    assert rows and all(float(row["length_mm"]) == pytest.approx(float(row["length_px"]) / 2, rel=1e-3) for row in rows)
    told = json.loads((there / "run.json").read_text())
    assert told["finished"] and "never seen a real photo" in told["about"]["warning"]
    assert "never seen a real photo" in (there / "report.html").read_text()


def test_the_same_command_computes_only_what_is_missing_and_other_settings_get_a_folder_of_their_own(
    tiny: Path, luigi_run: Luigi
) -> None:
    folder = draw(tiny / "new", 2)
    words = ("Predict", "--images", str(folder))
    assert luigi_run(*words).returncode == 0
    there = results(tiny, "starter", "new")
    first = {path.name: path.stat().st_mtime_ns for path in (there / "masks").iterdir()}
    cracks = (there / "cracks.csv").read_bytes()
    (there / "masks" / "IMG 1.png").unlink()  # as if it had been killed before
    assert luigi_run(*words).returncode == 0
    second = {path.name: path.stat().st_mtime_ns for path in (there / "masks").iterdir()}
    assert second["IMG 0.png"] == first["IMG 0.png"] and second["IMG 1.png"] != first["IMG 1.png"]
    assert (there / "cracks.csv").read_bytes() == cracks
    assert luigi_run(*words, "--Measuring-threshold", "0.9").returncode == 0
    assert results(tiny, "starter", "new-2", "report.html").is_file()
    assert (there / "cracks.csv").read_bytes() == cracks


def test_a_mask_drawn_by_hand_takes_the_place_of_the_networks_and_goes_as_it_came(tiny: Path, luigi_run: Luigi) -> None:
    folder = draw(tiny / "new", 2)
    words = ("Predict", "--images", str(folder))
    assert luigi_run(*words).returncode == 0
    there = results(tiny, "starter", "new")
    before = {path.name: path.read_bytes() for path in (there / "masks").iterdir()}
    drawn = np.zeros(cv2.imread(str(folder / "IMG 0.jpg")).shape[:2], np.uint8)
    drawn[40:44, 20:120] = 255
    mine = results(tiny, "starter", "corrections", "IMG 0.png")
    mine.parent.mkdir()
    cv2.imwrite(str(mine), drawn)
    assert luigi_run(*words).returncode == 0
    assert np.array_equal(cv2.imread(str(there / "masks" / "IMG 0.png"), cv2.IMREAD_UNCHANGED), drawn)
    assert (there / "masks" / "IMG 1.png").read_bytes() == before["IMG 1.png"]
    assert [row["corrected"] for row in read_rows(there / "photos.csv") if row["photo"] == "IMG 0.jpg"] == ["True"]
    mine.unlink()
    assert luigi_run(*words).returncode == 0
    assert {path.name: path.read_bytes() for path in (there / "masks").iterdir()} == before


def test_a_mask_drawn_by_hand_changes_the_key_and_the_label_and_taken_away_the_old_ones_are_back(
    finished: Path,
) -> None:
    stage = PseudoLabels(dataset="tiny", arch="resnet18")
    assert stage.complete()
    photo = stage.photos()[0]
    row = next(row for row in Dataset(dataset="tiny").rows if row.id == photo.id)
    drawn = np.zeros(photo.shape_hw, np.uint8)
    drawn[10:20, 5:40] = 255
    mine = (results(finished, "tiny", "corrections") / row.image).with_suffix(".png")
    mine.parent.mkdir(parents=True)
    cv2.imwrite(str(mine), drawn)
    PseudoLabels.clear_instance_cache()
    corrected = PseudoLabels(dataset="tiny", arch="resnet18")
    assert corrected.key != stage.key
    made(corrected)
    assert np.array_equal(corrected.maps().of(photo), drawn)
    assert all(np.array_equal(corrected.maps().of(other), stage.maps().of(other)) for other in stage.photos()[1:])
    mine.unlink()
    PseudoLabels.clear_instance_cache()
    back = PseudoLabels(dataset="tiny", arch="resnet18")
    assert back.key == stage.key and back.complete()


def test_a_photo_of_its_own_is_one_command_as_well(tiny: Path, luigi_run: Luigi) -> None:
    folder = draw(tiny / "new", 1)
    done = luigi_run("Predict", "--images", str(folder / "IMG 0.jpg"), "--name", "first look")
    assert done.returncode == 0, done.stderr
    assert results(tiny, "starter", "first look", "masks", "IMG 0.png").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--images", "/no/such/place"], "there is no such folder or file"),
        (["--images", "{empty}"], "no photo in 1 files"),
        (["--images", "{photos}", "--name", "../up"], "allowed: the name of a folder"),
        (["--images", "{photos}", "--dataset", "tiny", "--weights", "w.safetensors"], "give one of them"),
        (["--images", "{photos}", "--weights", "/no/such.safetensors"], "no such"),
        (["--images", "{photos}", "--labels", "full"], "give --dataset too"),
        (["--images", "{photos}", "--mm-per-px", "-1"], "--Predict-mm-per-px"),
        (["--images", "{photos}", "--dataset", "brigde"], "there is no dataset 'brigde'"),
        (["--images", "{photos}", "--Predictions-scale", "2"], "new photos are asked about at their own size"),
        (["--images", "{photos}", "--Predictions-scales", "[1, 2]"], "new photos are asked about at their own size"),
        ([], "Predict needs --images"),
    ],
)
def test_a_slip_is_one_sentence(tiny: Path, words: list[str], told: str) -> None:
    (tiny / "empty").mkdir()
    (tiny / "empty" / "notes.txt").write_text("x")
    places = {"photos": draw(tiny / "photos", 1), "empty": tiny / "empty"}
    done = luigi_in(tiny, "Predict", *(word.format(**places) for word in words))
    assert done.returncode in (2, 30), done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and told in lines[0], done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_written_among_the_photos(tiny: Path, luigi_run: Luigi) -> None:
    folder = draw(tiny / "new", 1)
    before = of_folder("", folder)
    assert luigi_run("Predict", "--images", str(folder)).returncode == 0
    assert of_folder("", folder) == before


def test_a_geotiff_leads_to_coordinates_that_are_right_to_a_pixel(tiny: Path, luigi_run: Luigi) -> None:
    rasterio = pytest.importorskip("rasterio")
    photo = demo_photo(5, "test", 0, cracked=True)
    height, width = photo.image_rgb.shape[:2]
    folder = tiny / "flight"
    folder.mkdir()
    place = rasterio.Affine(0.02, 0.0, 500_000.0, 0.0, -0.02, 5_300_000.0)
    about = {"driver": "GTiff", "width": width, "height": height, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(folder / "deck.tif", "w", transform=place, **about) as file:
        file.write(np.moveaxis(photo.image_rgb, 2, 0))
    done = luigi_run("Predict", "--images", str(folder))
    assert done.returncode == 0, done.stderr
    there = results(tiny, "starter", "flight")
    mask = cv2.imread(str(there / "masks" / "deck.png"), cv2.IMREAD_UNCHANGED) > 0
    found = json.loads((there / "cracks.geojson").read_text())
    assert found["crs"]["properties"]["name"].endswith("32632")
    points = [point for each in found["features"] for line in each["geometry"]["coordinates"] for point in line]
    cols, rows = np.array([~place @ point for point in points]).T - 0.5
    near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert len(points) > 50
    assert near[np.rint(rows).astype(int), np.rint(cols).astype(int)].all()
    row = read_rows(there / "cracks.csv")[0]
    middle = (float(row["left"]) + float(row["right"])) / 2, (float(row["top"]) + float(row["bottom"])) / 2
    assert (float(row["map_x"]), float(row["map_y"])) == pytest.approx(place @ middle, abs=1e-6)


def test_photos_of_phones_are_read_where_their_reader_is_installed(tiny: Path, luigi_run: Luigi) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    folder = tiny / "phone"
    folder.mkdir()
    Image.fromarray(demo_photo(5, "test", 0, cracked=True).image_rgb).save(folder / "IMG_1.HEIC", quality=95)
    done = luigi_run("Predict", "--images", str(folder))
    assert done.returncode == 0, done.stderr
    assert results(tiny, "starter", "phone", "masks", "IMG_1.png").is_file()


def test_the_console_command_names_its_verbs() -> None:
    from tests.conftest import ROOT, cold

    done = cold([sys.executable, "-m", "tasks.questions.hairline", "--help"], dict(os.environ), ROOT)
    assert done.returncode == 0
    assert "hairline predict" in done.stdout and "ruler-sheet" in done.stdout
    told = cold([sys.executable, "-m", "tasks.questions.hairline", "predict", "--help"], dict(os.environ), ROOT)
    assert "--mm-per-px" in told.stdout and "a folder of photos, or one photo" in told.stdout
    slip = cold([sys.executable, "-m", "tasks.questions.hairline", "predikt"], dict(os.environ), ROOT)
    assert slip.returncode == 2 and "did you mean predict?" in slip.stderr


def test_a_verb_of_the_console_command_does_its_work(tmp_path: Path) -> None:
    from tests.conftest import ROOT, cold

    sheet = tmp_path / "sheet.pdf"
    words = [sys.executable, "-m", "tasks.questions.hairline", "ruler-sheet", "--out", str(sheet)]
    done = cold(words, dict(os.environ, PYTHONPATH=str(ROOT)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert sheet.read_bytes().startswith(b"%PDF")
