"""Settings: strict, in order, and every complaint says where."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import models
from pipeline import knobs
from tasks import Patches, Segmenter, ThresholdMaps
from tasks.core import settings
from tasks.core.errors import SettingsError
from tasks.core.settings import Experiment
from tests.conftest import resolved


def rewrite(tiny: Path, old: str, new: str) -> None:
    path = tiny / "configs" / "tiny.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    settings.forget()


def test_a_data_set_file_wins_over_its_recipe_and_the_command_line_over_both(tiny: Path) -> None:
    assert resolved("ThresholdMaps", "tiny").stride_px == 8
    assert resolved("Patches", "tiny").stride_px == 128
    assert resolved("Patches", "tiny", "", "", {"stride_px": "32"}).stride_px == 32


def test_a_variant_wins_over_the_command_line_for_the_knobs_it_names_and_only_for_them(tiny: Path) -> None:
    given = {"classes": "3", "stride_px": "4"}
    knobs = resolved("ThresholdMaps", "tiny", "", "two_classes", given)
    assert (knobs.classes, knobs.stride_px) == (2, 4)


def test_options_of_segmenters_are_merged_name_by_name(tiny: Path) -> None:
    options = resolved("Segmenter", "tiny").options
    assert options["unet"] == {"width": 4, "norm": "batch"}
    assert set(options) <= set(models.SEGMENTERS)
    given = {"options": '{"unet": {"norm": "none"}}'}
    assert resolved("Segmenter", "tiny", "", "", given).options["unet"] == {"width": 4, "norm": "none"}


def test_one_segmenters_training_holds_nothing_of_the_others(tiny: Path) -> None:
    mine = Segmenter(dataset="tiny", segmenter="unet", labels="full").knobs
    assert (set(mine.options), set(mine.sides), mine.own) == ({"unet"}, {"unet"}, {})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"options": '{"unet": {"widht": 4}}'}, r"\[Segmenter.options.unet\] widht: .*; did you mean width\?"),
        (
            {"options": '{"unet": {"width": "abc"}}'},
            r"\[Segmenter.options.unet\] width = 'abc'; allowed: a whole number",
        ),
        (
            {"options": '{"unet": {"norm": "bach"}}'},
            r"\[Segmenter.options.unet\] norm = 'bach'; .*did you mean 'batch'\?",
        ),
        ({"training": "own"}, r"\[Segmenter\] of tiny: training = 'own', but .* \[Segmenter.own.unet\]"),
    ],
)
def test_what_one_segmenter_cannot_be_built_or_trained_with_is_told_before_anything_runs(
    tiny: Path, given: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        _ = Segmenter(dataset="tiny", segmenter="unet", labels="full", **given).key


def test_own_trainings_of_the_paper_recipe_are_understood(tiny: Path) -> None:
    given = {"training": "own"}
    knobs = resolved("Segmenter", "tiny", "paper", "", given)
    assert knobs.of("deepcrack_liu").loss == "focal"
    assert knobs.of("cgnet").schedule == "poly"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[Patches]", "[Patchs]", ("tiny.toml, line 13", "[Patchs]", "did you mean Patches?")),
        ("stride_px = 128", "stride = 128", ("line 14", "'stride'", "did you mean stride_px?")),
        ("stride_px = 128", "stride_px = -4", ("line 14", "stride_px = -4", "allowed: 1 to 65536")),
        ("stride_px = 128", "stride_px = 0", ("line 14", "0; allowed: 1")),
        ("stride_px = 128", "stride_px = 3.5", ("line 14", "3.5", "a whole number")),
        ("stride_px = 128", 'stride_px = "8"', ("line 14", "'8'", "a whole number")),
        ("stride_px = 128", "stride_px = true", ("line 14", "True", "a whole number")),
        ("stride_px = 128", "stride_px = 128\nstride_px = 64", ("tiny.toml", "not valid TOML", "line 15")),
        ("uncracked_share = 0.2", "uncracked_share = 1.2", ("line 8", "1.2", "0 to 1")),
        ("uncracked_share = 0.2", "uncracked_share = nan", ("line 8", "nan", "a number")),
        ('layout = "synthetic"', 'layout = "syntetic"', ("line 11", "'syntetic'", "'synthetic'")),
        ('recipe = "quick"', 'recipe = "quik"', ("'quik'", "did you mean quick?")),
        ('recipe = "quick"', "recipe = 3", ("recipe = 3", "paper, photos, quick")),
        ('recipe = "quick"', 'recipy = "quick"', ("recipy", "did you mean recipe?")),
        ("[variants.two_classes.ThresholdMaps]", "[variants.two_classes.ThresholdMap]", ()),
    ],
)
def test_a_slip_in_a_settings_file_names_file_line_and_the_nearest_valid_name(
    tiny: Path, old: str, new: str, words: tuple[str, ...]
) -> None:
    rewrite(tiny, old, new)
    variant = "" if words else "two_classes"
    with pytest.raises(SettingsError) as caught:
        resolved("Patches", "tiny", "", variant)
    message = str(caught.value)
    assert all(word in message for word in words or ("line", "did you mean ThresholdMaps?")), message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["../../x", "", "Tiny", "a/b", ".hidden", "x y"])
def test_a_data_set_name_is_never_a_path(tiny: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="allowed: lower-case letters"):
        resolved("Patches", name)


def test_a_data_set_without_a_file_is_answered_with_the_nearest_name_and_how_to_add_one(tiny: Path) -> None:
    with pytest.raises(SettingsError, match=r"did you mean tiny\?.*a new dataset is a file tinny.toml"):
        resolved("Patches", "tinny")


def test_a_missing_number_is_an_error_since_no_knob_has_a_default(tiny: Path) -> None:
    recipes = tiny / "configs" / "recipes"
    recipes.mkdir()
    text = (settings.ROOT / "configs" / "recipes" / "paper.toml").read_text()
    (recipes / "paper.toml").write_text(text.replace("erosion_iterations = 4\n", ""))
    with pytest.raises(SettingsError, match="erosion_iterations is missing"):
        resolved("PseudoLabels", "tiny")


def write_recipes(tiny: Path, **texts: str) -> None:
    folder = tiny / "configs" / "recipes"
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)
    settings.forget()


def test_a_recipe_that_names_another_says_only_what_it_changes(tiny: Path) -> None:
    write_recipes(
        tiny,
        wide='recipe = "quick"\n[ThresholdMaps]\nwindow_px = 64\nstride_px = 32\n',
        wider='recipe = "wide"\n[ThresholdMaps]\nwindow_px = 128\n',
    )
    quick, wider = (resolved("ThresholdMaps", "tiny", recipe, "") for recipe in ("quick", "wider"))
    assert wider == dataclasses.replace(quick, window_px=128, stride_px=32)
    assert resolved("Patches", "tiny", "wider", "").stride_px == 128, "the data set's own file wins"
    varied = resolved("ThresholdMaps", "tiny", "wider", "two_class_otsu", {"window_px": "32"})
    assert (varied.classes, varied.window_px) == (2, 32), "quick's variants and the command line still count"
    assert {"two_classes", "two_class_otsu"} <= set(Experiment("tiny", "wider").variants())


def test_two_recipes_that_say_the_same_share_every_key(tiny: Path) -> None:
    write_recipes(tiny, slower='recipe = "quick"\n[ThresholdMaps]\nstride_px = 4\n')
    assert (
        ThresholdMaps(dataset="tiny", recipe="slower").key
        == ThresholdMaps(dataset="tiny", recipe="quick", stride_px="4").key
        != ThresholdMaps(dataset="tiny", recipe="quick").key
    )
    assert Patches(dataset="tiny", recipe="slower").key == Patches(dataset="tiny", recipe="quick").key


def test_recipes_that_name_each_other_or_nothing_that_there_is_are_an_error(tiny: Path) -> None:
    write_recipes(
        tiny, one='recipe = "two"\n', two='recipe = "one"\n', other='recipe = "qick"\n', blank='recipe = ""\n'
    )
    with pytest.raises(SettingsError, match=r"two.toml: recipes name each other in a circle: one → two → one"):
        resolved("Patches", "tiny", "one", "")
    with pytest.raises(SettingsError, match=r"no recipe 'qick'; did you mean quick\?"):
        resolved("Patches", "tiny", "other", "")
    with pytest.raises(SettingsError, match=r"blank.toml: recipe = ''; name one of: .*quick"):
        resolved("Patches", "tiny", "blank", "")


@pytest.mark.parametrize("recipe", settings.known("recipe"))
@pytest.mark.parametrize("dataset", settings.known("dataset"))
def test_every_shipped_file_resolves_with_every_recipe(dataset: str, recipe: str) -> None:
    for section, schema in knobs.SECTIONS.items():
        assert isinstance(resolved(section, dataset, recipe, ""), schema)


def test_no_knob_of_the_schema_has_a_default() -> None:
    for schema in knobs.SECTIONS.values():
        for field in dataclasses.fields(schema):
            assert field.default is dataclasses.MISSING, f"{schema.__name__}.{field.name}"
            assert field.default_factory is dataclasses.MISSING, f"{schema.__name__}.{field.name}"


def test_a_whole_number_is_welcome_where_a_fraction_is_wanted_and_means_the_same(tiny: Path) -> None:
    one = resolved("PseudoLabels", "tiny", "", "", {"cam_weight": "1"})
    assert one == resolved("PseudoLabels", "tiny", "", "", {"cam_weight": "1.0"})
    assert isinstance(one.cam_weight, float)


@pytest.mark.parametrize(
    ("section", "key", "text", "words"),
    [
        ("ThresholdMaps", "stride_px", "64", "stride_px = 64; allowed: at most window_px = 32"),
        ("PatchMaps", "stride_px", "12", "the window must be a multiple of the stride"),
        ("Classifier", "multiplicative_low", "2", "multiplicative_low = 2; allowed: at most multiplicative_high"),
        ("PseudoLabels", "kernel_px", "4", "--PseudoLabels-kernel-px 4; allowed: odd numbers from 1 to 65535"),
    ],
)
def test_values_that_do_not_fit_together_are_told(tiny: Path, section: str, key: str, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        resolved(section, "tiny", "", "", {key: text})
    assert words in str(caught.value)
