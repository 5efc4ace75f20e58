"""A network leaves the house: one file of weights, and ONNX that says the same; whatever is no such file is refused."""

from __future__ import annotations

import functools
import json
import struct
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import models
from models.exporting import deepness_metadata, mean_of_cells, to_onnx, unpool
from models.parts.wrapper import PaddedSegmenter
from pipeline.speed.onnx_agreement import agreement
from tasks.core.errors import SettingsError
from tasks.core.files import read_weights
from tasks.core.shared_weights import check_fit, read_shared, write_shared
from tasks.core.shipped import starter
from tasks.photos.network import of_weights, the_starter
from tests.conftest import SHARED, Luigi
from tests.networks import built, noise


def photos(count: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(4)
    for number in range(count):
        yield rng.integers(0, 256, (64 + 7 * number, 96 + 13 * number, 3), dtype=np.uint8)


@functools.cache
def network_of(name: str) -> PaddedSegmenter:
    """The starter's own weights where it is the starter's network."""
    network = the_starter().trained.model() if name == "cgnet" else built(name).eval()
    assert isinstance(network, PaddedSegmenter)
    return network


@functools.cache
def content_of(name: str) -> bytes:
    """Of any size; exporting is what takes the time here."""
    pytest.importorskip("onnx")
    return to_onnx(network_of(name), {}, tile_px=64)


def shape_of(content: bytes) -> tuple[list[int | str], list[int | str]]:
    """Of the image, and of the probability."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.get_inputs()[0].shape, session.get_outputs()[0].shape


def test_unpooling_puts_every_value_back_where_it_came_from() -> None:
    image = torch.tensor([[[[1.0, 9.0, 2.0, 3.0], [4.0, 5.0, 8.0, 7.0]]]])
    pooled, places = F.max_pool2d(image, 2, return_indices=True)
    assert unpool(pooled, places, [2, 2]).tolist() == [[[[0, 9, 0, 0], [0, 0, 8, 0]]]]
    assert torch.equal(unpool(pooled, places, [2, 2]), F.max_unpool2d(pooled, places, 2))


@pytest.mark.parametrize("cells", [1, 2, 3, 6])
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (13, 6)])
def test_the_mean_of_cells_is_that_of_torch_where_cells_overlap_too(cells: int, size: tuple[int, int]) -> None:
    features = noise(2, 3, *size)
    assert torch.allclose(mean_of_cells(features, cells), F.adaptive_avg_pool2d(features, cells), atol=1e-6)


@pytest.mark.parametrize("name", ["cgnet", "deepcrack_zou", "pspnet"])
def test_onnx_says_what_torch_says_of_photos_of_any_size(name: str) -> None:
    pytest.importorskip("onnxruntime")
    told = agreement(content_of(name), network_of(name), photos(4), 0.5)
    assert told.photos == 4 and told.tile_hw is None
    assert told.same >= 0.999 and told.largest < 1e-4


def test_a_photo_smaller_than_what_is_mirrored_is_answered_as_torch_answers_it() -> None:
    pytest.importorskip("onnxruntime")
    small = [
        np.asarray(255 * noise(*size, 3)).astype(np.uint8) for size in ((1, 1), (3, 40), (7, 9), (16, 17), (31, 5))
    ]
    assert agreement(content_of("deepcrack_liu"), network_of("deepcrack_liu"), small, 0.5).largest < 1e-5


@pytest.mark.parametrize("name", ["cgnet", "pspnet"])
def test_the_file_says_that_a_photo_has_three_channels_and_its_answer_one(name: str) -> None:
    assert shape_of(content_of(name)) == ([1, 3, "height", "width"], [1, 1, "height", "width"])


def test_a_file_for_one_size_of_tile_says_that_size_in_numbers() -> None:
    pytest.importorskip("onnx")
    network = network_of("local_evidence")
    content = to_onnx(network, {}, tile_px=48, any_size=False)
    assert shape_of(content) == ([1, 3, 48, 48], [1, 1, 48, 48])
    assert agreement(content, network, photos(2), 0.5).same >= 0.999


def test_a_network_of_tiles_is_written_for_its_own_tile_and_says_so() -> None:
    onnx = pytest.importorskip("onnx")
    network = network_of("context_cracknet")
    content = to_onnx(network, deepness_metadata(0, 512, 20, 0.4), tile_px=512)
    assert shape_of(content)[0] == [1, 3, 64, 64]
    said = {prop.key: json.loads(prop.value) for prop in onnx.load_from_string(content).metadata_props}
    assert said["tile_size"] == said["tiles_size"] == 64
    told = agreement(content, network, photos(3), 0.5)
    assert told.tile_hw == (64, 64) and "in tiles of 64×64 px" in told.in_words()
    assert told.photos == 3 and told.same >= 0.999 and told.largest < 1e-4
    with pytest.raises(ValueError, match="no photo is as large as its tiles of 64×64 px; give larger photos"):
        agreement(content, network, [np.zeros((63, 64, 3), np.uint8)], 0.5)


def test_the_metadata_are_what_deepness_reads_and_the_file_is_one() -> None:
    onnx = pytest.importorskip("onnx")
    content = to_onnx(network_of("local_evidence"), deepness_metadata(0.35, 512, 20, 0.4), tile_px=64)
    model = onnx.load_from_string(content)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    said = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert said["model_type"] == "Segmentor"
    assert said["class_names"] == {"0": "background", "1": "crack"}
    assert said["resolution"] == pytest.approx(0.035)  # cm per pixel
    whole = (said["tile_size"], said["tiles_size"], said["tiles_overlap"], said["seg_small_segment"])
    assert whole == (512, 512, 20, 0) and all(type(number) is int for number in whole)
    assert said["seg_thresh"] == 0.4
    assert "resolution" not in deepness_metadata(0.0, 512, 20, 0.4)


def test_without_the_extra_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"needs the extra: pip install 'hairline\[onnx\]'"):
        to_onnx(network_of("unet"), {}, tile_px=64)


def test_a_file_of_weights_says_all_that_is_needed_and_answers_as_before(tmp_path: Path) -> None:
    shipped, path = the_starter(), tmp_path / "bridge.safetensors"
    trained = shipped.trained
    write_shared(
        path, read_weights(trained.weights), trained.segmenter, trained.options, trained.pixels, {"called": "mine"}
    )
    shared = read_shared(path)
    check_fit(shared)
    assert shared.about == {"called": "mine", "hairline": version("hairline")}
    found = of_weights(shared)
    assert "mine" in found.called
    batch = torch.rand(1, 3, 40, 50)
    with torch.no_grad():
        assert torch.equal(found.trained.model()(batch)["logits"], trained.model()(batch)["logits"])


def test_the_starter_itself_is_such_a_file() -> None:
    shared = read_shared(starter().path)
    check_fit(shared)
    assert shared.segmenter == "cgnet"


def header(_tensors: Mapping[str, object] | None = None, /, **said: object) -> bytes:
    text = json.dumps({"__metadata__": said, **(_tensors or {})}).encode()
    return struct.pack("<Q", len(text)) + text


GOOD = {"segmenter": "local_evidence", "pixels": "half", "options": json.dumps({"channels": [4, 6, 8], "blocks": 1})}


def test_a_header_that_says_all_is_believed_so_that_each_hostile_one_is_refused_for_what_it_adds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(header(**GOOD))
    assert read_shared(path).segmenter == "local_evidence"


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
    "about is a list": header(**{**GOOD, "about": "[]"}),
    "about holds a number": header(**{**GOOD, "about": '{"called": 3}'}),
    "about commands the terminal": header(**{**GOOD, "about": json.dumps({"called": "\x1b[2J"})}),
    "a network as large as the machine": header(**{**GOOD, "options": '{"channels": [4, 6, 8], "blocks": 1000000000}'}),
    "weights are cut off": header({"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, **GOOD) + b"\x00",
    "a tensor is no tensor": header({"w": 3}, **GOOD),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_weights_file_is_refused_in_one_sentence(what: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(SettingsError, match="give a file that Export wrote") as caught:
        read_shared(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize("shape", [[9], "nine", None])
def test_weights_of_another_network_are_refused_before_they_are_loaded(shape: object, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(header({"w": {"dtype": "F32", "shape": shape, "data_offsets": [0, 36]}}, **GOOD) + bytes(36))
    with pytest.raises(SettingsError, match="its weights are not those of the local_evidence") as caught:
        check_fit(read_shared(path))
    assert "\n" not in str(caught.value)


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
@pytest.mark.parametrize("name", models.SEGMENTERS)
def test_onnx_agrees_on_50_real_photos_of_two_sizes(name: str) -> None:
    from PIL import Image

    pytest.importorskip("onnxruntime")
    network = network_of(name)
    content = to_onnx(network, {}, tile_px=256)
    paths = sorted((SHARED / "crack500" / "testcrop").glob("*.jpg"))[:50]
    for height, width in ((201, 333), (256, 320)):
        images = (np.asarray(Image.open(path).convert("RGB"))[:height, :width] for path in paths)
        told = agreement(content, network, images, 0.5)
        print(f"| {name} | {height}×{width} | {len(content):,} bytes | {told.largest:.2g} | {told.in_words()} |")
        assert told.photos == 50 and told.same >= 0.999
        # Where two pixels of a window are equal but for rounding, unpooling may put their value back into either.
        assert told.largest < (0.1 if name in ("scnet", "deepcrack_zou") else 1e-4)
