"""The referee: which files belong together, how they are read, what is refused, and that it says what `Scores` says."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.knobs import JudgeKnobs, ScoresKnobs
from pipeline.layouts.pairing import paired, told_apart
from pipeline.ops.types import Mask
from pipeline.predictions_to_judgement import refereed
from pipeline.predictions_to_scores import score_maps
from pipeline.reports.judge_page import FOUND, INVENTED, MISSED, picture
from pipeline.reports.tables_to_spread import scored, spread
from tasks import Dataset, DemoPhotos, Judge, Scores
from tasks.core.errors import SettingsError, StageError
from tasks.core.workers import Here, Place
from tasks.intake.judged_files import Values
from tasks.reports.judged_pairs import System, of_dataset, of_folder, systems_of
from tasks.reports.judgement import verdict_folder
from tasks.reports.rows import label_row
from tests.conftest import Luigi, made, read_rows, resolved
from tests.referee_cases import cases

MASK = np.zeros((6, 8), np.uint8)
MASK[2:4] = 255
SOFT = np.where(MASK, 200, 30).astype(np.uint8)
NOISE = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def knobs(**changed: object) -> JudgeKnobs:
    found: JudgeKnobs = resolved("Judge", "", "paper", given={name: str(value) for name, value in changed.items()})
    return found


def put(path: Path, content: object) -> None:
    """Arrays as .npy or pictures, by the name; bytes as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, np.asarray(content))
    else:
        Image.fromarray(np.asarray(content)).save(path)


def jpeg(values: np.ndarray, quality: int = 60) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def read(root: Path, **changed: object) -> tuple[System, list[tuple[Values, Mask]], list[str]]:
    """What the referee makes of the folders p and m: the system, all arrays, and what it tells of them."""
    folder = {"p": root / "p"}
    mine = knobs(**changed)
    (system,) = of_folder(folder, root / "m", mine)
    loading = system.loading(resolved("Dataset", "", "paper"), mine, Here(Place()))
    arrays = [loading.of(pair) for pair in system.pairs]
    return system, arrays, [*system.notes, *loading.predictions.notes, *loading.masks.notes]


# Names


def test_names_are_paired_as_they_are_then_anywhere_then_without_the_words_that_say_what_they_are() -> None:
    masks = ["a.png", "x/b.png", "c_lab.png", "d_mask.jpg", "GT-e.png", "f_GT.png"]
    predictions = ["a.png", "b.jpg", "c_pre.png", "d.png", "e_prob.npy", "f.png"]
    pairs = paired({name: [name] for name in masks}, predictions)
    assert list(pairs.found.values()) == predictions
    assert not pairs.doubts + pairs.lonely_masks + pairs.lonely_predictions


def test_names_that_could_belong_to_several_are_told_instead_of_guessed() -> None:
    several = paired({name: [name] for name in ("a.jpg", "a.png")}, ["a.png"])
    assert several.doubts[0].startswith("predictions a.png and the masks a.jpg, a.png share the name 'a'")
    beside = paired({name: [name] for name in ("a.jpg", "a_mask.png")}, ["a.png"])
    assert beside.doubts == [
        "a.jpg and a_mask.png may both be the mask of a.png; keep masks only in the folder of masks"
    ]


def test_masks_of_one_name_in_two_folders_are_no_rivals_where_one_has_no_prediction() -> None:
    pairs = paired({name: [name] for name in ("1/a.png", "2/a.png")}, ["1/a.png"])
    assert (pairs.found, pairs.lonely_masks, pairs.doubts) == ({"1/a.png": "1/a.png"}, ["2/a.png"], [])
    photo = paired({name: [name] for name in ("images/a.jpg", "masks/a_mask.png")}, ["a.png"])
    assert photo.doubts, "a photo in a folder beside that of the masks"


def test_two_predictions_by_two_names_of_one_mask_are_told_instead_of_one_taken() -> None:
    pairs = paired({"test_1": ["test_img/1.png", "1-ab.png"]}, ["1-ab.png", "test_img/1.png"])
    assert pairs.doubts, "either order, whichever is taken"
    alone = paired({"test_1": ["test_img/1.png", "1-ab.png"]}, ["1-ab.png"])
    assert (alone.found, alone.doubts) == ({"test_1": "1-ab.png"}, [])
    stems = paired({"test_1": ["test_img/1.png", "1-ab.png"]}, ["1.png", "1-ab.png"])
    assert stems.doubts == [] and stems.lonely_predictions == ["1.png"]


def test_a_folder_that_holds_both_is_told_apart_by_the_words() -> None:
    assert told_apart(["a_pre.png", "a_lab.png", "b.png"]) == (["a_pre.png"], ["a_lab.png"], ["b.png"])


def test_systems_have_the_names_of_their_folders_and_of_their_parents_where_these_are_the_same() -> None:
    assert list(systems_of("/r/one,/r/two/")) == ["one", "two"]
    assert list(systems_of("/one/maps, /two/maps")) == ["one_maps", "two_maps"]
    with pytest.raises(SettingsError, match="several different ones"):
        systems_of("/r/one,/r/one")


# What is converted, and what is refused


def arrays_in_one() -> bytes:
    np.savez(written := io.BytesIO(), SOFT, MASK)
    return written.getvalue()


ARRAYS = arrays_in_one()
Files = dict[str, object]
USUAL: Files = {"m/a.png": MASK, "m/b.png": MASK, "p/a.png": SOFT, "p/b.png": SOFT}
READ: dict[str, tuple[Files, dict[str, object], str]] = {
    "masks of 0 and 1": ({"m/a.png": MASK // 255, "m/b.png": MASK // 255}, {}, "masks of 0 and 1 are read as"),
    "noise of JPEG in masks": (
        {"m/a.png": None, "m/b.png": None, "m/a.jpg": jpeg(MASK), "m/b.jpg": jpeg(MASK)},
        {"max_grey_share": 1.0},
        "2 masks have grey pixels",
    ),
    "predictions of 0 and 1": ({"p/a.png": MASK // 255, "p/b.png": MASK // 255}, {}, "predictions of 0 and 1"),
    "16 bits": ({"p/a.png": SOFT.astype(np.uint16) * 257}, {}, ""),
    "colours that are grey": ({"p/a.png": np.repeat(SOFT[..., None], 3, axis=2)}, {}, ""),
    "probabilities in .npy": ({"p/a.png": None, "p/a.npy": (SOFT / 255).astype(np.float32)}, {}, ""),
    "one channel in .npy": ({"p/a.png": None, "p/a.npy": SOFT[None] / 255}, {}, ""),
    "yes and no as numbers in .npy": ({"p/a.png": None, "p/a.npy": (MASK // 255).astype(np.int64)}, {}, ""),
    "logits that are said to be": (
        {"p/a.png": None, "p/a.npy": np.where(MASK, 3.0, -3.0)},
        {"npy": "logits"},
        'read as npy = "logits"',
    ),
    "logits over their maximum": (
        {"p/a.png": None, "p/a.npy": np.where(MASK, 3.0, -3.0)},
        {"npy": "logits_over_maximum"},
        "logits_over_maximum",
    ),
    "a mask wider by a pixel": ({"m/a.png": np.pad(MASK, ((0, 0), (0, 1)))}, {"crop_px": 1}, ""),
    "fewer predictions": (
        {"p/b.png": None},
        {"pairs_only": "true"},
        "1 of 2 masks have no prediction and are left out",
    ),
    "more predictions": ({"p/c.png": SOFT}, {}, "1 predictions have no mask and are not judged, such as c.png"),
    "other files": ({"p/notes.txt": b"x", "p/.DS_Store": b"x"}, {}, "1 other files in"),
}
REFUSED: dict[str, tuple[Files, dict[str, object], str]] = {
    "a missing prediction": (
        {"p/b.png": None},
        {},
        r"p: 1 of 2 masks have no prediction, such as b.png; names are comp",
    ),
    "names that do not fit": (
        {"p/b.png": None, "p/c.png": SOFT},
        {},
        r"\(predictions without a mask: 1, such as c.png\)",
    ),
    "two of a name": (
        {"p/a.jpg": jpeg(SOFT)},
        {},
        r"p: predictions a.jpg, a.png and the masks a.png share the name 'a'",
    ),
    "another size": ({"p/a.png": SOFT[:, :7]}, {}, r"a.png: a prediction of 7×6 for a mask of 8×6; nothing is resized"),
    "turned": ({"p/a.png": SOFT.T}, {}, r"of 6×8 for a mask of 8×6 \(is one of them turned\?\)"),
    "not a number": (
        {"p/a.png": None, "p/a.npy": np.full((6, 8), np.nan)},
        {},
        r"a.npy: 48 of 48 values are not numbers",
    ),
    "logits": (
        {"p/a.png": None, "p/a.npy": np.where(MASK, 3.0, -3.0)},
        {},
        r"values from -3 to 3, but probabilities lie in 0 … 1; .* say --npy logits",
    ),
    "one mask of 0 and 1": (
        {"m/a.png": MASK // 255},
        {},
        r"a.png: its brightest value is 1, below mask_threshold = 128",
    ),
    "classes in masks": ({"m/a.png": MASK // 4}, {}, r"its brightest value is 63, below mask_threshold"),
    "a soft mask": (
        {"m/a.png": np.where(MASK, 255, 90).astype(np.uint8)},
        {},
        r"66.7% of the pixels are neither 0 nor",
    ),
    "masks of 0 and 1 in JPEG": (
        {"m/a.png": None, "m/b.png": None, "m/a.jpg": jpeg(MASK // 255, 100), "m/b.jpg": jpeg(MASK // 255, 100)},
        {},
        r"a.jpg: a JPEG mask of 0 and 1, which blurs them",
    ),
    "fractions in a mask": ({"m/a.png": None, "m/a.npy": SOFT / 255}, {}, r"a.npy: a mask with fractions; give one"),
    "a coloured prediction": ({"p/a.png": NOISE}, {}, r"a.png: a coloured prediction; give a grey one"),
    "a photo as mask": ({"m/a.png": NOISE}, {}, r"a.png: a coloured mask; give a grey one"),
    "three channels in .npy": (
        {"p/a.png": None, "p/a.npy": NOISE},
        {},
        r"an array of shape \(6, 8, 3\); H×W is needed",
    ),
    "large numbers in .npy": ({"p/a.png": None, "p/a.npy": SOFT.astype(int)}, {}, r"int64 with values beyond 0 and 1"),
    "a broken picture": ({"p/a.png": b"\x89PNG\r\n\x1a\n"}, {}, r"a.png: (not an image|truncated)"),
    "a broken .npy": ({"p/a.png": None, "p/a.npy": b"x"}, {}, r"a.npy: cannot be read as .npy"),
    "an empty file": ({"p/a.png": b""}, {}, r"a.png: empty file"),
    "nothing there": (
        {"p/a.png": None, "p/b.png": None},
        {},
        r"--predictions .*/p: nothing to judge is in there; give a folder with such files: .png",
    ),
    "16 bits that say 255": (
        {"m/a.png": MASK.astype(np.uint16)},
        {},
        r"a.png: its brightest value is 255, below mask_threshold = 32896; give masks that are all of 0 and 65535",
    ),
    "several arrays as .npy": ({"p/a.png": None, "p/a.npy": ARRAYS}, {}, r"a.npy: holds several arrays"),
    "several arrays, cut short": ({"p/a.png": None, "p/a.npy": ARRAYS[:60]}, {}, r"a.npy: cannot be read as .npy"),
    "a group that is in no name": ({}, {"group": "x"}, r"\[Judge\] group = 'x' finds nothing in the name a.png"),
    "a group that is no pattern": ({}, {"group": "("}, r"\[Judge\] group = '\(' is no regular expression"),
}


def folders(root: Path, changed: Files) -> Path:
    for name, content in {**USUAL, **changed}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            put(root / name, content)
    return root


@pytest.mark.parametrize("case", READ)
def test_what_is_odd_but_clear_is_read_rightly_and_told(tmp_path: Path, case: str) -> None:
    files, changed, told = READ[case]
    system, arrays, notes = read(folders(tmp_path, files), **changed)
    assert told in " ".join(notes)
    for prediction, mask in arrays:
        assert (mask == (MASK[:, : mask.shape[1]] > 0)).all()
        values = prediction / {"uint8": 255, "uint16": 65535}.get(prediction.dtype.name, 1)
        assert ((values > 0.5) == mask).all(), prediction
    assert len(system.pairs) == 2 - system.missing


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_unclear_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    files, changed, told = REFUSED[case]
    with pytest.raises((ValueError, StageError, SettingsError), match=told) as refused:
        read(folders(tmp_path, files), **changed)
    assert "\n" not in str(refused.value)


def test_a_group_is_what_the_pattern_finds_in_brackets_or_all_of_it(tmp_path: Path) -> None:
    files: Files = {"m/a.png": None, "m/b.png": None, "p/a.png": None, "p/b.png": None}
    files |= {f"{where}/{name}.png": MASK for where in "mp" for name in ("one_1", "one_2", "two_1")}
    system, _, _ = read(folders(tmp_path, files), group=r"^(\w+)_\d")
    assert [pair.group for pair in system.pairs] == ["one", "one", "two"]


def test_a_group_may_be_one_of_several_brackets(tmp_path: Path) -> None:
    files: Files = {"m/a.png": None, "m/b.png": None, "p/a.png": None, "p/b.png": None}
    files |= {f"{where}/{name}.png": MASK for where in "mp" for name in ("IMG1_a", "P7_a", "P8_a")}
    system, _, _ = read(folders(tmp_path, files), group=r"^(IMG\d+)_|^(P\d+)_")
    assert [pair.group for pair in system.pairs] == ["IMG1", "P7", "P8"]


def test_a_mask_is_never_its_own_prediction_wherever_the_folders_lie_in_each_other(tmp_path: Path) -> None:
    for name in "ab":
        put(tmp_path / f"{name}_pred.png", SOFT)
        put(tmp_path / "gt" / f"{name}.png", MASK)
    (system,) = of_folder({"p": tmp_path}, tmp_path / "gt", knobs())
    assert [pair.prediction.name for pair in system.pairs] == ["a_pred.png", "b_pred.png"]
    (tmp_path / "linked").symlink_to(tmp_path / "gt")
    for same in (tmp_path / "linked", tmp_path / "gt" / ".." / "gt"):
        with pytest.raises(StageError, match="is given as predictions and as masks"):
            of_folder({"p": same}, tmp_path / "gt", knobs())


def test_one_photo_alone_has_no_interval(tmp_path: Path) -> None:
    folders(tmp_path, {"m/b.png": None, "p/b.png": None})
    task = Judge(predictions=str(tmp_path / "p"), masks=str(tmp_path / "m"), draws="9")
    task.__dict__["execution"] = resolved("Execution", "", "paper", given={"processes": "1"})
    task._judge_into(folder := verdict_folder("", "one", task.identity()))
    rows = json.loads((folder / "judge.json").read_text())["scores"]
    (ods,) = (row for row in rows if row["score"] == "ods")
    assert ods["value"] == 1 and ods["low"] is None and ods["high"] is None


def test_masks_that_are_read_otherwise_are_another_verdict(tiny: Path) -> None:
    told = {"predictions": str(tiny / "p"), "dataset": "tiny"}
    one, other = (Judge(variant=variant, **told).identity() for variant in ("", "Dataset.mask_inverted=true"))
    assert one != other


def test_masks_of_a_data_set_are_found_by_the_ids_of_its_index_and_by_the_names_of_its_photos(tiny: Path) -> None:
    made(DemoPhotos(dataset="tiny"))
    dataset = made(Dataset(dataset="tiny"))
    photos = dataset.photos("test")
    for kind in ("ids", "names"):
        for photo in photos:
            name = photo.id if kind == "ids" else photo.image_path.stem
            put(tiny / kind / f"{name}.png", photo.checked_mask().astype(np.uint8) * 255)
    systems = of_dataset({kind: tiny / kind for kind in ("ids", "names")}, dataset, knobs())
    assert [[pair.name for pair in system.pairs] for system in systems] == [[photo.id for photo in photos]] * 2
    loading = systems[0].loading(resolved("Dataset", "tiny"), knobs(), Here(Place()))
    assert all((prediction[mask] == 255).all() for prediction, mask in map(loading.of, systems[0].pairs))


# All of it


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Path]:
    """Judges the cases of the official scripts, in this process, with few draws."""
    for number, (prediction, mask) in enumerate(cases()):
        put(tmp_path / "masks" / f"{number:02d}_lab.png", mask.astype(np.uint8) * 255)
        put(tmp_path / "<b>mine" / f"{number:02d}.png", prediction)
        put(tmp_path / "theirs" / f"{number:02d}_pre.png", prediction // 2)

    def run(*systems: str, **changed: Any) -> Path:
        given = {"draws": "20", "shown": "2", **changed}
        names = ",".join(str(tmp_path / system) for system in systems)
        task = Judge(predictions=names, masks=str(tmp_path / "masks"), **given)
        task.__dict__["execution"] = resolved("Execution", "", "paper", given={"processes": "1"})
        folder = verdict_folder("", "all", task.identity())
        task._judge_into(folder)
        return folder

    return run


def test_the_referee_says_what_scores_says_to_every_digit(judge: Callable[..., Path]) -> None:
    scores: ScoresKnobs = resolved("Scores", "", "paper")
    named = [(str(number), prediction, mask) for number, (prediction, mask) in enumerate(cases())]
    summary, by_image, curve = score_maps(named, scores)
    folder = judge("<b>mine")
    rows = json.loads((folder / "judge.json").read_text())["scores"]
    found = {row["score"]: row["value"] for row in reversed(rows) if row["cut"] != "best ODS"}
    same = ("ods", "ois", "ap", "ap_mean_of_images", "pixel_f1", "auprc", "auprc_trapezoid", "region_f1", "macro_f1")
    same += ("aiu", "iou", "dice", "miou", "accuracy", "class_accuracy")
    assert {name: found[name] for name in same} == {name: summary[name] for name in same}
    assert found["ods_pooled"] == summary["pooled_f1"]
    assert next(row["threshold"] for row in rows if row["score"] == "ods") == summary["ods_threshold"]
    theirs = pd.read_csv(folder / "by_image.csv")
    assert list(theirs["f1"]) == list(by_image["f1"])
    assert list(theirs["iou at fixed"]) == list(by_image["iou"])
    pd.testing.assert_frame_equal(pd.read_csv(folder / "curve.csv"), curve)


def test_scores_says_what_the_referee_says_where_it_is_asked_to(judge: Callable[..., Path]) -> None:
    scores: ScoresKnobs = resolved("Scores", "", "paper")
    named = [(str(number), prediction, mask) for number, (prediction, mask) in enumerate(cases())]
    names = [f"{name}_lab.png" if len(name) > 1 else f"0{name}_lab.png" for name, *_ in named]
    found = refereed(lambda: iter(named), names, scores, knobs(draws=20))
    rows = json.loads((judge("<b>mine") / "judge.json").read_text())["scores"]
    assert len(rows) + 6 == len(found)  # and the ends of three intervals
    for row in rows:
        value = found[row["score"] + {"fixed": "_at_fixed", "best ODS": "_at_best"}.get(row["cut"], "")]
        assert value == row["value"] or (math.isnan(value) and row["value"] is None)
    assert (found["ods_low"], found["ods_high"]) == next((row["low"], row["high"]) for row in rows)


def test_every_definition_is_a_column_of_the_tables_where_it_is_asked_for(tiny: Path) -> None:
    axes: dict[str, Any] = {"dataset": "tiny", "labels": "threshold", "split": "test"}
    plain, asked = Scores(**axes), Scores(**axes, referee="true")
    assert "referee" not in plain.identity["knobs"]
    assert asked.identity["knobs"]["judge_cliou_px"] == 4
    for stage in (DemoPhotos(dataset="tiny"), Dataset(dataset="tiny"), asked.maps(), plain, asked):
        made(stage)
    assert plain.summary().items() <= asked.summary().items()
    row = label_row(asked)
    assert {"cliou_at_best", "nsd_at_fixed", "ods_pooled", "false_photos_at_best", "ods_low"} <= row.keys()
    table = pd.DataFrame([row]).assign(seed=1)
    assert {"cliou_at_best_mean", "nsd_at_fixed_std"} <= set(spread(table, ["labels"], scored(table)).columns)


def test_systems_are_compared_in_pairs_on_the_same_images_and_the_page_asks_nothing_of_any_other(
    judge: Callable[..., Path],
) -> None:
    folder = judge("<b>mine", "theirs")
    table = {(row["system"], row["score"], row["cut"]): float(row["value"]) for row in read_rows(folder / "judge.csv")}
    for row in read_rows(folder / "differences.csv"):
        mine, theirs = (table[row[which], row["score"], row["cut"]] for which in ("first", "second"))
        assert float(row["difference"]) == pytest.approx(mine - theirs, nan_ok=True)
        assert not float(row["low"]) > float(row["high"])
    page = (folder / "judge.html").read_text(encoding="utf-8")
    assert "<b>mine" not in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert page.count("<figure") == 4
    assert "## Differences on the same images" in (folder / "judge.md").read_text(encoding="utf-8")
    assert "<bdi>12 images</bdi>" in page
    assert "1 masks without a crack" in page


def test_photos_without_any_crack_tell_false_alarms_and_nothing_that_needs_a_crack(tmp_path: Path) -> None:
    files: Files = {"m/a.png": 0 * MASK, "m/b.png": 0 * MASK, "p/b.png": 0 * MASK}
    folders(tmp_path, files)
    task = Judge(predictions=str(tmp_path / "p"), masks=str(tmp_path / "m"), draws="9")
    task.__dict__["execution"] = resolved("Execution", "", "paper", given={"processes": "1"})
    task._judge_into(verdict_folder("", "free", task.identity()))
    rows = json.loads((verdict_folder("", "free", task.identity()) / "judge.json").read_text())["scores"]
    found = {row["score"]: row["value"] for row in rows if row["cut"] != "best ODS"}
    assert (found["false_photos"], found["false_pixels"]) == (0.5, 16 / 96)
    assert (found["iou"], found["cliou"], found["f1"], found["length_error"]) == (0.5, 0.5, None, None)


def test_one_folder_with_predictions_and_masks_is_judged_by_the_words_in_its_names(tmp_path: Path) -> None:
    for name, content in {"a_pre": SOFT, "a_lab": MASK, "b_pre": SOFT, "b_lab": MASK}.items():
        put(tmp_path / f"{name}.png", content)
    (system,) = of_folder({"both": tmp_path}, tmp_path, knobs())
    assert [(pair.name, pair.prediction.name) for pair in system.pairs] == [
        (f"{n}_lab.png", f"{n}_pre.png") for n in "ab"
    ]
    put(tmp_path / "c.png", MASK)
    with pytest.raises(StageError, match=r"but c.png does not; use two folders"):
        of_folder({"both": tmp_path}, tmp_path, knobs())


def test_the_command_prints_the_page_and_its_folder_last(tiny: Path, luigi_run: Luigi) -> None:
    folders(tiny, {})
    words = ("Judge", "--predictions", str(tiny / "p"), "--masks", str(tiny / "m"), "--draws", "9")
    done = luigi_run(*words, "--Execution-processes", "2", "--out", str(tiny / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [str(tiny / "out" / "judge.html"), str(tiny / "out")]


def test_names_that_do_not_fit_are_told_before_anything_runs(tmp_path: Path) -> None:
    folders(tmp_path, {"p/a.png": None})
    with pytest.raises(StageError, match=r"p: 1 of 2 masks have no prediction, such as a.png"):
        Judge(predictions=str(tmp_path / "p"), masks=str(tmp_path / "m")).ahead()


def test_what_lies_in_a_named_folder_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(StageError, match="something else lies there; give a new folder, or remove it"):
        verdict_folder(str(tmp_path), "all", {})
    assert verdict_folder(str(tmp_path / "new"), "all", {}) == tmp_path / "new"


def test_masks_and_a_data_set_are_not_both_given_and_one_of_them_is() -> None:
    for given in ({"masks": "m", "dataset": "demo"}, {}):
        with pytest.raises(SettingsError, match="Judge needs --masks, a folder, or --dataset"):
            Judge(predictions="p", **given)


def test_a_picture_shows_what_was_found_missed_and_invented_however_small_it_is() -> None:
    mask, found = np.zeros((2, 100, 100), bool)
    mask[10, :40] = found[10, 20:40] = True
    found[90, 70:] = True
    colours = np.asarray(Image.open(io.BytesIO(picture(found, mask, 20))))
    assert colours.shape == (20, 20, 3)
    assert [tuple(colours[row, col]) for row, col in ((2, 2), (2, 6), (18, 16))] == [MISSED, FOUND, INVENTED]
