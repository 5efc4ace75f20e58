"""The trained stages as a user meets them: start weights, refusals, TensorBoard's log, data without masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from tasks.core.files import read_table
from tests.conftest import Luigi, luigi_in, make_workplace

CLASSES = """
recipe = "quick"

[Dataset]
layout = "classes"
root = "{root}"
test_share = 0.5

[Patches]
stride_px = 128

[Classifier]
epochs = 1
batch_size = 8
samples_per_epoch = 16

[Execution]
device = "cpu"
threads = 1
processes = 2
"""


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workplace that has come as far as the patches; each test trains with settings of its own."""
    workplace = make_workplace(tmp_path_factory.mktemp("indexed") / "workplace")
    assert luigi_in(workplace, "Patches", "--dataset", "tiny").returncode == 0
    return workplace


def state_of(arch: str) -> dict[str, Tensor]:
    return dict(torchvision.models.get_model(arch, weights=None).state_dict())


def entry_of(workplace: Path, dataset: str = "tiny") -> Path:
    (folder,) = (workplace / "outputs" / "classifier").glob(f"{dataset}-*")
    return folder


def curves(folder: Path) -> dict[str, list[int]]:
    """Which epochs TensorBoard shows of each curve."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [event.step for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.slow
def test_a_training_from_a_weights_file_can_be_killed_and_goes_on_in_the_same_log(indexed: Path) -> None:
    torch.save(state_of("resnet18"), indexed / "start.pth")
    words = ["Classifier", "--dataset", "tiny", "--weights", str(indexed / "start.pth"), "--head", "dense1000"]
    assert luigi_in(indexed, *words, CHAOS="Classifier:epoch-1").returncode == 30
    again = luigi_in(indexed, *words)
    assert again.returncode == 0, again.stderr
    assert "goes on after epoch 1 of 2" in again.stderr
    entry = entry_of(indexed)
    names = {"loss", "training_accuracy", "learning_rate", "seconds", "samples_per_second"}
    assert curves(indexed / "outputs" / "logs" / "classifier" / entry.name) == {name: [1, 2] for name in names}
    assert set(json.loads((entry / "manifest.json").read_text())["files"]) == {
        "log.csv",
        "scores.csv",
        "weights.safetensors",
    }
    assert sorted(path.name for path in entry.iterdir()) == [
        "log.csv",
        "manifest.json",
        "scores.csv",
        "weights.safetensors",
    ]


def test_start_weights_that_do_not_fit_or_are_broken_are_refused_before_training(indexed: Path) -> None:
    other, broken = state_of("resnet50"), state_of("resnet18")
    broken["layer1.0.conv1.weight"][0, 0, 0, 0] = torch.nan
    for name, state, sentence in (
        ("other.safetensors", other, "weights that do not fit: "),
        ("broken.safetensors", broken, "holds numbers that are not finite, in 1 tensors (layer1.0.conv1.weight)"),
    ):
        save_file(state, indexed / name)
        done = luigi_in(indexed, "Classifier", "--dataset", "tiny", "--weights", str(indexed / name))
        assert done.returncode == 30
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
        assert "loss" not in done.stderr


def test_imagenet_weights_without_a_network_name_the_alternatives(indexed: Path) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:9", "TORCH_HOME": str(indexed / "torch")}
    done = luigi_in(indexed, "Classifier", "--dataset", "tiny", "--weights", "imagenet", **nowhere)
    assert done.returncode == 30
    assert "ImageNet weights of resnet18 from https://" in done.stderr
    assert 'set weights = "<path of the file>", or set weights = "none"' in done.stderr
    assert "Traceback" not in done.stderr


def test_photos_of_one_kind_only_are_refused_before_training_with_their_counts(luigi_run: Luigi) -> None:
    done = luigi_run("Classifier", "--dataset", "tiny", "--DemoPhotos-uncracked-share", "1")
    assert done.returncode == 30
    assert "the training split of tiny (6 images) has 0 crack patches and 336 without; both kinds are needed" in (
        done.stderr
    )


@pytest.mark.slow
def test_data_without_masks_train_a_classifier_and_are_judged_by_image_too(luigi_run: Luigi, tiny: Path) -> None:
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    for number in range(12):
        name = ("crack", "no_crack")[number % 2]
        (tiny / "photos" / name).mkdir(parents=True, exist_ok=True)
        image = rng.integers(100, 200, (130, 140, 3), dtype=np.uint8)
        cv2.imwrite(str(tiny / "photos" / name / f"{number}.png"), image)
    (tiny / "configs" / "kinds.toml").write_text(CLASSES.format(root=tiny / "photos"))
    done = luigi_run("Classifier", "--dataset", "kinds")
    assert done.returncode == 0, done.stderr
    assert ", image F1 val " in done.stderr
    by_image, by_patch = (read_table(entry_of(tiny, "kinds") / name) for name in ("scores_by_image.csv", "scores.csv"))
    assert list(by_image.columns) == list(by_patch.columns)
    assert by_image["split"].tolist() == ["val", "test"]
    counts = by_image[["tp", "fp", "tn", "fn"]]
    assert counts.sum(axis=1).tolist() == [2, 6]
