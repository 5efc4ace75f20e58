"""Layouts: paths as users have them → rows; nothing here touches a file."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.layouts import csv_table as layouts_csv
from pipeline.layouts import on_disk as layouts
from pipeline.layouts import splits as layouts_splits
from pipeline.layouts.on_disk import Found, Row, row_of


def pairs(found: Found) -> list[tuple[str, str, str]]:
    """(image, mask, split) of every row."""
    return [(row.image, row.mask, row.split) for row in found.rows]


def told(found: Found) -> list[str]:
    return [str(problem) for problem in found.problems]


def test_folders_pair_images_and_masks_of_the_same_relative_name() -> None:
    found = layouts.folders(["images/train/a.JPG", "masks/train/a.png", "images/test/b/c.tif", "masks/test/b/c.bmp"])
    assert pairs(found) == [
        ("images/test/b/c.tif", "masks/test/b/c.bmp", "test"),
        ("images/train/a.JPG", "masks/train/a.png", "train"),
    ]
    assert told(found) == []


def test_folders_may_lie_deeper_and_may_have_no_splits() -> None:
    found = layouts.folders(["mine/images/a.png", "mine/masks/a.png", "mine/readme.txt"])
    assert pairs(found) == [("mine/images/a.png", "mine/masks/a.png", "")]


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        (["images/tests/a.png"], "images/tests/a.png: 'tests' is no split; allowed: train, val, test, unlabelled"),
        (["images/train/a.gif"], "images/train/a.gif: no accepted kind of image; save it as one of .png"),
        (["images/train/a.DNG"], "images/train/a.DNG: no accepted kind of image"),
        (["masks/train/a.png"], "masks/train/a.png: a mask without an image: none has its name; rename or remove it"),
        (["images/train/A.jpg", "masks/train/a.png"], "none has its name but for capital letters images/train/A.jpg"),
        (
            ["images/train/a.jpg", "masks/train/a.png", "masks/train/a.bmp"],
            "images/train/a.jpg: several masks match (masks/train/a.bmp, masks/train/a.png); keep one",
        ),
        (
            ["images/train/a.jpg", "images/train/a.png", "masks/train/a.png"],
            "masks/train/a.png: several images match (images/train/a.jpg, images/train/a.png); keep one",
        ),
    ],
)
def test_a_pairing_that_is_not_one_to_one_is_a_problem_and_never_a_guess(paths: list[str], sentence: str) -> None:
    assert sentence in "\n".join(told(layouts.folders(paths)))


def test_images_that_differ_by_folder_suffix_or_capitals_only_have_ids_of_their_own() -> None:
    paths = ["images/train/a.jpg", "images/train/a.png", "images/train/A.jpg", "images/train/sub/a.jpg"]
    rows = layouts.folders(paths).rows
    assert len({row.id for row in rows}) == 4


TEXTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=255)
BYTES = st.lists(st.sampled_from(sorted(set(range(1, 256)) - {ord("/")})), min_size=1, max_size=255).map(bytes)


@given(TEXTS | BYTES.map(os.fsdecode))
@hypothesis_settings(deadline=None)
def test_an_id_is_safe_for_files_whatever_the_name(name: str) -> None:
    made = layouts.row_id(name)
    assert 1 <= len(made) <= 100
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    assert made[0] not in ".-_"


CROPS = ("traincrop/20160222_081011_1_361", "testcrop/20160222_081012_641_1", "valcrop/20160222_081013_1_1")


@pytest.mark.parametrize("deeper", ["", "CRACK500/", "traincrop/"])
def test_crack500_has_images_beside_masks_and_crops_of_photos(deeper: str) -> None:
    found = layouts.crack500([f"{deeper}{CROPS[0]}.jpg", f"{deeper}{CROPS[0]}.png"])
    assert pairs(found) == [(f"{deeper}{CROPS[0]}.jpg", f"{deeper}{CROPS[0]}.png", "train")]
    assert found.rows[0].group == "20160222_081011"


def test_crack500_may_have_images_and_masks_in_trees_of_their_own() -> None:
    names = ["traincrop/images/p_1_1.png", "traincrop/masks/p_1_1.png", "images/valcrop/q_1_1.jpg"]
    found = layouts.crack500([*names, "masks/valcrop/q_1_1.png", "train.txt", "traindata/p_mask.png"])
    assert pairs(found) == [
        ("images/valcrop/q_1_1.jpg", "masks/valcrop/q_1_1.png", "val"),
        ("traincrop/images/p_1_1.png", "traincrop/masks/p_1_1.png", "train"),
    ]
    assert told(found) == []


def test_cfd_photos_without_ground_truth_are_unlabelled() -> None:
    found = layouts.cfd(["image/001.jpg", "image/201.jpg", "groundTruth/001.mat", "image/image.rar"])
    assert pairs(found) == [("image/001.jpg", "groundTruth/001.mat", ""), ("image/201.jpg", "", "unlabelled")]


def test_ael_pairs_both_patterns_of_names() -> None:
    images = ["TITS/IMAGES/AIGLE_RN/Im_GT_AIGLE_RN_C18aor.png", "TITS/IMAGES/ESAR/Im_GT_ESAR_30a.jpg"]
    masks = ["TITS/GROUND_TRUTH/AIGLE_RN/GT_AIGLE_RN_C18a.png", "TITS/GROUND_TRUTH/ESAR/GT_ESAR_30a.png"]
    found = layouts.ael([*images, *masks, "TITS/IMAGES/ESAR/Im_noGT_ESAR_01a.jpg"])
    assert pairs(found)[:2] == list(zip(images, masks, ["", ""], strict=True))
    assert pairs(found)[2:] == [("TITS/IMAGES/ESAR/Im_noGT_ESAR_01a.jpg", "", "unlabelled")]
    assert [row.name for row in found.rows[:2]] == ["AIGLE_RN_C18a", "ESAR_30a"]


def test_dcd_has_four_folders() -> None:
    found = layouts.dcd(["train_img/a-1.jpg", "train_lab/a-1.png", "test_img/b.jpg", "test_lab/b.png"])
    assert sorted(pairs(found)) == [
        ("test_img/b.jpg", "test_lab/b.png", "test"),
        ("train_img/a-1.jpg", "train_lab/a-1.png", "train"),
    ]


def test_dcd_without_its_test_half_leaves_the_splits_to_the_settings() -> None:
    found = layouts.dcd(["train_img/a-1.jpg", "train_lab/a-1.png", "train_img/a-2.jpg", "train_lab/a-2.png"])
    assert {(row.split, row.group) for row in found.rows} == {("", "a")}


def test_classes_are_the_names_of_the_folders() -> None:
    found = layouts.classes(["crack/1.jpg", "no_crack/1.jpg", "x/Positive/2.jpg", "test/Negative/3.jpg", "1/4.jpg"])
    assert {(row.image, row.label, row.split) for row in found.rows} == {
        ("crack/1.jpg", 1, ""),
        ("no_crack/1.jpg", 0, ""),
        ("x/Positive/2.jpg", 1, ""),
        ("test/Negative/3.jpg", 0, "test"),
    }


def test_photos_in_folders_within_the_classes_are_read_whatever_the_spelling() -> None:
    meant = {
        "crack/2026-01/1.jpg": (1, ""),
        "crack/1.jpg": (1, ""),
        "No Crack/a/b/2.jpg": (0, ""),
        "Crack/3.jpg": (1, ""),
        "no-crack/4.jpg": (0, ""),
        "val/crack/x/5.jpg": (1, "val"),
    }
    found = layouts.classes(meant)
    assert {row.image: (row.label, row.split) for row in found.rows} == meant
    assert len({row.id for row in found.rows}) == len(meant)


def test_a_photo_in_a_folder_for_cracks_and_in_one_for_none_is_told() -> None:
    (problem,) = layouts.classes(["crack/no_crack/1.jpg"]).problems
    assert str(problem) == "crack/no_crack/1.jpg: lies in a folder for cracks and in one for none; move it"


@pytest.mark.parametrize(
    ("folder", "right"), [("Train", "train"), ("Validation", "val"), ("VAL", "val"), ("testing", "test")]
)
def test_a_split_by_another_name_is_told_instead_of_divided_anew(folder: str, right: str) -> None:
    (problem,) = layouts.classes([f"{folder}/crack/1.jpg"]).problems
    assert str(problem) == f"{folder}/crack/1.jpg: lies in a folder {folder!r}; rename it to {right!r}"


def test_what_a_layout_makes_nothing_of_is_named() -> None:
    paths = ["crack/1.jpg", "crack/notes.txt", "other/2.jpg", "readme.txt", "no_crack/3.gif"]
    assert layouts.classes(paths).unread(paths) == ["crack/notes.txt", "other/2.jpg", "readme.txt"]


@pytest.mark.parametrize(
    ("files", "wrapping"),
    [
        (["mine/crack/1.jpg", "mine/no_crack/2.jpg"], ("mine",)),
        (["a/b/images/train/1.jpg"], ("a", "b")),
        (["crack/1.jpg"], ()),
        (["No Crack/1.jpg"], ()),
        (["mine/crack/1.jpg", "readme.txt"], ()),
        (["mine/crack/1.jpg", "yours/no_crack/2.jpg"], ()),
        ([], ()),
    ],
)
def test_a_folder_that_only_wraps_all_the_others_means_nothing(files: list[str], wrapping: tuple[str, ...]) -> None:
    assert layouts.wrapping([tuple(name.split("/")) for name in files]) == wrapping


FILES = ["a.jpg", "a.png", "b.jpg", "sub/c.tif"]


@pytest.mark.parametrize(
    "text", ["image,mask,split,label\n", "\ufeffimage;mask;split;label\r\n", "Image, Mask,split ,label\n"]
)
def test_a_table_may_have_a_byte_order_mark_semicolons_and_capitals(text: str) -> None:
    between = ";" if ";" in text else ","
    lines = [("a.jpg", "a.png", "train", "crack"), ("b.jpg", "", "test", "0"), ("sub\\c.tif", "", "", "")]
    found = layouts_csv.table(FILES, text + "\r\n".join(between.join(line) for line in lines))
    assert pairs(found) == [("a.jpg", "a.png", "train"), ("b.jpg", "", "test"), ("sub/c.tif", "", "")]
    assert [row.label for row in found.rows] == [1, 0, -1]
    assert told(found) == []


BAD_LINES = {
    "x.jpg,,train,crack": "there is no image x.jpg; correct the path or remove the line",
    "a.jpg,x.png,train,crack": "there is no mask x.png; correct the path or remove the line",
    "a.jpg,a.png,trian,crack": "split 'trian'; allowed: train, val, test, unlabelled or empty",
    "a.jpg,a.png,train,craked": "label 'craked'; allowed: crack, no_crack, positive, negative, 1, 0 or empty",
    "a.jpg,a.png,train,2": "label '2'; allowed: crack, no_crack",
    "a.jpg,a.png": "2 columns; the first line has 4",
    "a.jpg,a.png,train,crack,5": "5 columns; the first line has 4",
    ",a.png,train,crack": "no image is named",
    "../a.jpg,,train,crack": "image ../a.jpg leads out of the folder; give a path relative to labels.csv",
    "/etc/a.jpg,,train,crack": "image /etc/a.jpg leads out of the folder",
    "b.jpg,,train,crack": "b.jpg is in line 2 already; keep one of the two",
    "labels.csv,,train,crack": "image labels.csv is no accepted kind of image; allowed: .png, .jpg",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_wrong_line_of_a_table_is_told_with_its_number(line: str) -> None:
    text = f"image,mask,split,label\nb.jpg,,test,no_crack\n\n{line}\n"
    sentences = told(layouts_csv.table([*FILES, "labels.csv"], text))
    assert any(sentence.startswith(f"labels.csv, line 4: {BAD_LINES[line]}") for sentence in sentences), sentences


def test_all_problems_of_a_table_are_told_at_once() -> None:
    text = "image,mask,split,label\na.jpg,a.png,trian,crack\na.jpg,a.png,train,craked\n"
    sentences = told(layouts_csv.table(FILES, text))
    assert [sentence.split(":")[0] for sentence in sentences] == [
        "labels.csv, line 2",
        "labels.csv, line 3",
        "b.jpg",
        "sub/c.tif",
    ]
    assert sentences[2] == "b.jpg: an image that labels.csv does not name; add or remove it"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "line 1: columns missing; allowed: image, mask, split, label"),
        ("a.jpg,a.png\n", "line 1: columns a.jpg, a.png; allowed: image, mask"),
        ("image,mask,mask\n", "line 1: columns image, mask, mask; allowed"),
        ('image,mask\n"a.jpg', "line 2"),
    ],
)
def test_a_table_without_a_proper_first_line_or_end_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"labels\.csv") as refused:
        found = layouts_csv.table(FILES, text)
        raise ValueError("\n".join(told(found)))
    assert sentence in str(refused.value)


def rows(count: int, crops: int = 1, label: int = -1) -> list[Row]:
    return [
        row_of(f"p{photo}_{crop}.png", group=f"p{photo}", label=label)
        for photo in range(count)
        for crop in range(crops)
    ]


def test_lists_of_names_decide_first_and_a_photo_s_name_means_all_its_crops() -> None:
    named = layouts_splits.named(rows(3, crops=2), {"val": ["p1"], "test": ["p2_0"]})
    assert {row.name: row.split for row in named} == {
        "p0_0": "", "p0_1": "", "p1_0": "val", "p1_1": "val", "p2_0": "test", "p2_1": "",
    }  # fmt: skip


def test_a_name_means_the_image_before_the_photo() -> None:
    both = [row_of("11122.jpg", group="11122"), row_of("11122-3.jpg", group="11122")]
    named = layouts_splits.named(both, {"val": ["11122"], "test": []})
    assert [row.split for row in named] == ["val", ""]


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [
        ({"val": ["p9"], "test": []}, r"\[Dataset\] val_names: no image is called p9; correct or remove the name"),
        ({"val": ["p1"], "test": ["p1"]}, r"p1_0 in the names of several splits; keep each name in one list"),
    ],
)
def test_a_name_that_fits_no_image_or_is_in_two_lists_is_refused(lists: dict[str, list[str]], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        layouts_splits.named(rows(3), lists)


def test_excluded_names_are_gone_and_an_unknown_one_is_refused() -> None:
    assert [row.name for row in layouts_splits.excluded(rows(2), ["p0_0"])] == ["p1_0"]
    with pytest.raises(ValueError, match="exclude: no image is called 42"):
        layouts_splits.excluded(rows(2), ["42"])


SHARES = {"test": 0.2, "val": 0.1}


@given(st.integers(3, 40), st.integers(1, 5), st.integers(0, 2**31 - 1))
@hypothesis_settings(deadline=None)
def test_shares_never_tear_a_photo_apart_and_leave_something_to_train_on(photos: int, crops: int, seed: int) -> None:
    shared = layouts_splits.shared_out(rows(photos, crops), SHARES, seed)
    assert layouts_splits.on_two_sides(shared) == {}
    assert {row.split for row in shared} == {"train", "val", "test"}


def test_shares_are_drawn_of_each_label_alike() -> None:
    both = [*rows(100, label=1), *(row_of(f"n{number}.png", label=0) for number in range(100))]
    drawn = [row.label for row in layouts_splits.shared_out(both, SHARES, 1) if row.split == "test"]
    assert (drawn.count(0), drawn.count(1)) == (20, 20)


def test_a_split_that_the_layout_gives_is_not_drawn_from() -> None:
    own = [row_of("a.png", split="train"), row_of("b.png", split="test"), row_of("c.png", split="unlabelled")]
    assert layouts_splits.shared_out(own, SHARES, 1) == own


def test_one_photo_more_does_not_move_the_others() -> None:
    few = {row.id: row.split for row in layouts_splits.at_most(layouts_splits.shared_out(rows(50), {}, 1), 20, 1)}
    more = {row.id for row in layouts_splits.at_most(layouts_splits.shared_out(rows(51), {}, 1), 20, 1)}
    assert len(few.keys() - more) <= 1


@pytest.mark.parametrize(("most", "kept"), [(0, 30), (7, 6), (30, 30), (2, 0)])
def test_a_limit_takes_whole_photos_of_the_training_images_only(most: int, kept: int) -> None:
    both = layouts_splits.shared_out([*rows(10, crops=3), row_of("t.png", split="test")], {}, 1)
    limited = layouts_splits.at_most(both, most, 1)
    assert sum(row.split == "train" for row in limited) == kept
    assert sum(row.split == "test" for row in limited) == 1


def test_everything_but_the_unlabelled_can_be_for_testing() -> None:
    whole = layouts_splits.all_for_testing([row_of("a.png", split="train"), row_of("b.png", split="unlabelled")])
    assert [row.split for row in whole] == ["test", "unlabelled"]
