"""A network leaves the house: one file of weights, and ONNX that says the same; whatever is no such file is refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.exporting import deepness_metadata, to_onnx
from models.parts.wrapper import PaddedSegmenter
from pipeline.speed.onnx_agreement import agreement
from tasks.core.errors import SettingsError
from tasks.core.files import read_weights
from tasks.core.shared_weights import read_shared, write_shared
from tasks.core.shipped import starter
from tasks.photos.network import of_weights, the_starter
from tests.conftest import SHARED, Luigi
from tests.networks import built


def photos(count: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(4)
    for number in range(count):
        yield rng.integers(0, 256, (64 + 7 * number, 96 + 13 * number, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["cgnet", "unet", "local_evidence"])
def test_onnx_says_what_torch_says_of_photos_of_any_size(name: str) -> None:
    pytest.importorskip("onnxruntime")
    network = the_starter().trained.model() if name == "cgnet" else built(name).eval()
    assert isinstance(network, PaddedSegmenter)
    told = agreement(to_onnx(network, {}, tile_px=64), network, photos(4), 0.5)
    assert told.photos == 4
    assert told.same >= 0.999 and told.largest < 1e-4


def test_the_metadata_are_what_deepness_reads_and_the_file_is_one() -> None:
    onnx = pytest.importorskip("onnx")
    network = built("local_evidence").eval()
    assert isinstance(network, PaddedSegmenter)
    content = to_onnx(network, deepness_metadata(0.35, 512, 20, 0.4), tile_px=64)
    model = onnx.load_from_string(content)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    said = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert said["model_type"] == "Segmentor"
    assert said["class_names"] == {"0": "background", "1": "crack"}
    assert said["resolution"] == pytest.approx(0.035)  # cm per pixel
    assert (said["tiles_size"], said["tiles_overlap"], said["seg_thresh"]) == (512, 20, 0.4)
    assert "resolution" not in deepness_metadata(0.0, 512, 20, 0.4)


def test_a_network_that_has_one_size_only_is_refused_in_a_sentence() -> None:
    pytest.importorskip("onnx")
    network = built("pspnet").eval()
    assert isinstance(network, PaddedSegmenter)
    with pytest.raises(ValueError, match="cannot be written as ONNX for photos of any size"):
        to_onnx(network, {}, tile_px=64)


def test_a_file_of_weights_says_all_that_is_needed_and_answers_as_before(tmp_path: Path) -> None:
    shipped, path = the_starter(), tmp_path / "bridge.safetensors"
    trained = shipped.trained
    write_shared(
        path, read_weights(trained.weights), trained.segmenter, trained.options, trained.pixels, {"called": "mine"}
    )
    found = of_weights(read_shared(path))
    assert "mine" in found.called
    batch = torch.rand(1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(found.trained.model()(batch)["logits"], trained.model()(batch)["logits"])


def test_the_starter_itself_is_such_a_file() -> None:
    assert read_shared(starter().path).segmenter == "cgnet"


def header(**said: object) -> bytes:
    text = json.dumps({"__metadata__": said}).encode()
    return struct.pack("<Q", len(text)) + text


GOOD = {"segmenter": "local_evidence", "pixels": "half", "options": json.dumps({"channels": [4, 8], "blocks": 1})}
HOSTILE = {
    "empty": b"",
    "short": b"\x08",
    "a header as long as the disk": struct.pack("<Q", 2**62) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"\x00\x01\x02\x03",
    "a list": struct.pack("<Q", 2) + b"[]",
    "no metadata": struct.pack("<Q", 2) + b"{}",
    "deep JSON": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "a pickle": b"\x80\x04\x95" + b"\x00" * 40,
    "numbers for texts": header(**{**GOOD, "pixels": 3}),
    "an unknown network": header(**{**GOOD, "segmenter": "resunet"}),
    "a path for a network": header(**{**GOOD, "segmenter": "../../etc/passwd"}),
    "a module for a network": header(**{**GOOD, "segmenter": "os"}),
    "unknown pixels": header(**{**GOOD, "pixels": "raw"}),
    "no options": header(segmenter="unet", pixels="unit"),
    "options of another network": header(**{**GOOD, "options": '{"width": 4}'}),
    "an option of a wrong type": header(**{**GOOD, "options": '{"channels": "4", "blocks": 1}'}),
    "about is no JSON": header(**{**GOOD, "about": "{"}),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_weights_file_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(SettingsError, match="give a file that Export wrote") as caught:
        read_shared(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def test_export_writes_both_files_and_the_weights_answer_elsewhere(
    finished: Path, luigi_run: Luigi, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    done = luigi_run("Export", "--dataset", "tiny", "--out", str(tmp_path / "given"))
    assert done.returncode == 0, done.stderr
    assert "100.0000% of the pixels have the same mask" in done.stdout
    weights = tmp_path / "given" / "tiny.safetensors"
    photo = next((finished / "outputs" / "demo_photos").rglob("*.png"))
    asked = luigi_run("Predict", "--weights", str(weights), "--images", str(photo), "--Measuring-threshold", "0.3")
    assert asked.returncode == 0, asked.stderr
    assert "unet trained on full of tiny" in asked.stderr


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.skipif(not SHARED.exists(), reason="no shared data beside the checkout")
def test_onnx_agrees_on_50_real_photos() -> None:
    from PIL import Image

    pytest.importorskip("onnxruntime")
    network = the_starter().trained.model()
    assert isinstance(network, PaddedSegmenter)
    paths = sorted((SHARED / "crack500" / "testcrop").glob("*.jpg"))[:50]
    images = (np.asarray(Image.open(path).convert("RGB"))[:351] for path in paths)
    told = agreement(to_onnx(network, {}, tile_px=256), network, images, 0.5)
    print(told.in_words())
    assert told.photos == 50 and told.same >= 0.999
