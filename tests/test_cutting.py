"""Squares cut a batch at once are the squares cut one by one, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.learning import cutting
from pipeline.learning.cutting import OnDevice, OnHost, cutter

CPU = torch.device("cpu")


def test_a_square_of_a_quarter_turned_image_by_eye() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)  # 0 1 2 over 3 4 5; turned: 2 5 over 1 4 over 0 3
    square = np.array([[0], [4], [1], [0]])
    for cut in (OnHost([image]).cut, OnDevice([image], CPU).cut):
        assert np.asarray(cut(square, 2)).tolist() == [[[1, 4], [0, 3]]]


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_on_a_device_and_on_the_host_the_same_pixels_are_cut(data: st.DataObject) -> None:
    sides = st.integers(1, 9)
    sizes = data.draw(st.lists(st.tuples(sides, sides), min_size=1, max_size=4))
    grey = data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    images = [rng.integers(0, 256, size if grey else (*size, 3), dtype=np.uint8) for size in sizes]
    count, size_px = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 12))
    squares = np.stack([rng.integers(0, top, count) for top in (len(images), 8, 12, 12)])
    host, device = OnHost(images).cut(squares, size_px), OnDevice(images, CPU).cut(squares, size_px)
    assert device.dtype == torch.uint8
    assert np.array_equal(device.numpy(), host)


def test_images_that_do_not_fit_on_the_gpu_are_cut_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("full")

    images, gpu = [np.zeros((2, 2), np.uint8)], torch.device("cuda")
    monkeypatch.setattr(cutting, "OnDevice", full)
    assert isinstance(cutter(images, gpu), OnHost)
    monkeypatch.setattr(cutting, "OnDevice", lambda *_: "on the device")
    assert cutter(images, gpu) == "on the device"
    assert isinstance(cutter(images, CPU), OnHost)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_cuts_the_same_pixels() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((40, 70), (33, 20))]
    squares = np.stack([rng.integers(0, top, 64) for top in (2, 8, 40, 40)])
    assert np.array_equal(
        OnDevice(images, torch.device("cuda")).cut(squares, 32).cpu(), OnHost(images).cut(squares, 32)
    )
