"""Semi-supervision: pseudo labels of the test images join the training; the masks of no image are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from luigi.task_register import Register

from tasks import PseudoLabels, Scores, Segmenter, Tables
from tasks.core.errors import SettingsError
from tasks.core.walk import walk
from tests.conftest import TINY, Luigi, ran

SEMI = ("Segmenter", "--dataset", "tiny", "--segmenter", "unet", "--labels", "semi", "--arch", "resnet18")


def another(workplace: Path, name: str, **changed: str) -> None:
    """A second data set, with photos of its own."""
    text = TINY.replace("[DemoPhotos]", "[DemoPhotos]\nseed = 9").replace("test_images = 3", "test_images = 2")
    (workplace / "configs" / f"{name}.toml").write_text(text)


def axes(labels: str, **more: str) -> dict[str, str]:
    return {"dataset": "tiny", "segmenter": "unet", "labels": labels, "arch": "resnet18", **more}


def test_test_images_of_the_target_are_labelled_with_the_classifier_and_the_numbers_of_the_experiment(
    tiny: Path,
) -> None:
    another(tiny, "bridge")
    semi = Segmenter(**axes("semi", added="bridge"))
    added = semi.lessons[1].labels
    assert added is not None
    made_of = {part.stage(): part for part in walk(added)}
    assert made_of["Classifier"].dataset == "tiny"
    assert [photo.dataset for photo in (added.target_dataset(), made_of["ThresholdMaps"].target_dataset())] == [
        "bridge",
        "bridge",
    ]
    assert added.split == "test"
    assert semi.upstream()["labels"].key == PseudoLabels(dataset="tiny", arch="resnet18", split="train").key


def test_each_test_set_needs_a_training_of_its_own_and_other_kinds_of_labels_do_not(tiny: Path) -> None:
    another(tiny, "bridge")

    def trained(labels: str, target: str) -> str:
        return Scores(**axes(labels, target=target)).maps().segmenter_stage().key  # type: ignore[union-attr]

    assert trained("semi", "") != trained("semi", "bridge")
    assert trained("semi", "") == trained("semi", "tiny") == Segmenter(**axes("semi")).key
    assert trained("pseudo", "") == trained("pseudo", "bridge")
    assert trained("semi", "") != trained("pseudo", "")


def test_added_images_without_semi_supervision_are_refused(tiny: Path) -> None:
    with pytest.raises(SettingsError, match="added = 'bridge'; allowed: '' with labels = pseudo"):
        Segmenter(**axes("pseudo", added="bridge"))


def test_the_tables_have_semi_supervised_rows_for_the_segmenters_that_are_named(tiny: Path) -> None:
    def kinds(semi: str) -> list[str]:
        Register.clear_instance_cache()
        return [stage.labels for stage in Tables(dataset="tiny", semi=semi).segmentation_scores()]

    assert kinds("[]") == ["full", "crf", "pseudo"]
    assert kinds("unet") == ["full", "crf", "pseudo", "semi"]
    assert kinds("oed") == ["full", "crf", "pseudo"], "it is not among the segmenters"
    with pytest.raises(SettingsError, match=r"there is no segmenter 'unt'; did you mean unet\?"):
        kinds("unt")


def weights(workplace: Path) -> bytes:
    """Of the semi-supervised segmenter."""
    found = [
        path.parent
        for path in (workplace / "outputs" / "segmenter").glob("tiny-*/manifest.json")
        if json.loads(path.read_text())["axes"]["labels"] == "semi"
    ]
    assert len(found) == 1
    return (found[0] / "weights.safetensors").read_bytes()


@pytest.mark.slow
def test_semi_supervised_training_uses_the_test_images_and_reads_no_mask(finished: Path, luigi_run: Luigi) -> None:
    first = luigi_run(*SEMI)
    assert first.returncode == 0, first.stderr
    assert set(ran(first)) == {"ThresholdMaps", "PatchMaps", "Cams", "PseudoLabels", "Segmenter"}
    assert "9 images" in first.stderr, "6 of training, 3 of testing"
    trained = weights(finished)
    for stage in ("segmenter", "pseudo_labels", "threshold_maps", "patch_maps", "cams"):
        for path in (finished / "outputs" / stage).glob("tiny-*"):
            path.rename(path.with_name(f".away-{path.name}"))
    masks = list((finished / "outputs" / "demo_photos").glob("tiny-*/masks/**/*.png"))
    assert len(masks) == 10
    for mask in masks:
        mask.write_bytes(bytes(mask.stat().st_size))  # the same size, so that the entry still counts as whole
    again = luigi_run(*SEMI)
    assert again.returncode == 0, again.stderr
    assert weights(finished) == trained
