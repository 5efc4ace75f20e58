"""The starter: a small network that comes with the project, and answers without training or download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.demo.photos import demo_photo
from pipeline.learning.halving import halved, largest_difference
from pipeline.ops.ods_ois_ap import ScoreSheet
from tasks import Segmenter
from tasks.core import shipped
from tasks.core.errors import SettingsError, StageError
from tasks.core.files import read_weights
from tasks.segmenter import TrainedSegmenter, options_of
from tests.networks import built, noise


def starter() -> torch.nn.Module:
    found = shipped.starter()
    stage = Segmenter(dataset="demo", segmenter=found.segmenter, labels="starter")
    options = options_of(found.segmenter, found.options, stage.experiment)
    return TrainedSegmenter(found.segmenter, options, found.pixels, found.path).model()


def test_it_is_smaller_than_a_megabyte_and_in_half_precision() -> None:
    path = shipped.starter().path
    assert path.stat().st_size < 1_000_000
    kinds = {tensor.dtype for tensor in read_weights(path).values() if tensor.is_floating_point()}
    assert kinds == {torch.float16}


def test_its_card_names_the_very_file() -> None:
    from tasks.core.files import sha256

    assert sha256(shipped.starter().path) in (shipped.FOLDER / shipped.CARD).read_text(encoding="utf-8")


def test_it_finds_cracks_that_it_has_not_seen() -> None:
    """Photos of the demo, whose seed is not that of its training; what is scored on real photos is on its card."""
    network, sheet = starter(), ScoreSheet(empty="skip")
    for index in range(6):
        photo = demo_photo(987, "test", index, cracked=True)
        batch = torch.from_numpy(photo.image_rgb).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            sheet.add(network(batch)["logits"].sigmoid()[0, 0].numpy(), photo.mask)
    assert sheet.totals()["ods"] > 0.6


def test_as_a_kind_of_labels_it_trains_nothing_and_rests_on_nothing() -> None:
    stage = Segmenter(dataset="demo", recipe="quick", segmenter=shipped.starter().segmenter, labels="starter")
    assert stage.above == {}
    assert stage.key == Segmenter(dataset="cfd", recipe="paper", segmenter="cgnet", labels="starter").key
    with pytest.raises(SettingsError, match=r"is the network cgnet, not 'unet'"):
        Segmenter(dataset="demo", segmenter="unet", labels="starter")


def test_a_broken_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / shipped.WEIGHTS).write_bytes(b"\x08")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(StageError, match=r"is no starter .* git checkout"):
        shipped.starter.__wrapped__()


def test_half_precision_rounds_fractions_and_moves_answers_a_little() -> None:
    network = built("cgnet").eval()
    half = halved(network.state_dict())
    assert {tensor.dtype for tensor in half.values()} == {torch.float16, torch.int64}
    other = built("cgnet")
    other.load_state_dict(half)
    images = [(255 * noise(20, 30, 3)).byte().numpy() for _ in range(2)]
    assert 0 < largest_difference(network, other.eval(), images) < 0.01
    assert largest_difference(network, network, images) == 0
    assert np.isfinite(largest_difference(network, other, images))
