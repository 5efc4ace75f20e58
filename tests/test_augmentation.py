"""The 8-fold geometry and the photometric noise."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.knobs import PhotometricKnobs
from pipeline.learning.augmentation import GEOMETRIES, cut_patch, photometric, turn
from tests.knob_values import TRAINING

OFF = {
    "jitter_probability": 1.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
    "hue": 0.0,
    "noise_probability": 0.0,
    "additive_sigma": 0.0,
    "multiplicative_low": 1.0,
    "multiplicative_high": 1.0,
}
ALL = {name: TRAINING[name] for name in OFF}


def altered(batch: Tensor, seed: int = 0, **changes: float) -> Tensor:
    return photometric(batch, PhotometricKnobs(**(OFF | changes)), torch.Generator().manual_seed(seed))


def colours(images: int = 6, low: float = 0.3, high: float = 0.7) -> Tensor:
    return low + (high - low) * torch.rand(images, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def test_the_eight_geometries_of_a_corner_mark() -> None:
    square = np.array([[1, 2], [3, 4]])
    assert [turn(square, code).tolist() for code in range(GEOMETRIES)] == [
        [[1, 2], [3, 4]],
        [[2, 1], [4, 3]],
        [[3, 4], [1, 2]],
        [[4, 3], [2, 1]],
        [[2, 4], [1, 3]],
        [[4, 2], [3, 1]],
        [[1, 3], [2, 4]],
        [[3, 1], [4, 2]],
    ]


def test_the_eight_geometries_are_views_and_all_different() -> None:
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    turned = [turn(image, code) for code in range(GEOMETRIES)]
    assert all(np.shares_memory(image, each) for each in turned)
    assert len({each.tobytes() + bytes(each.shape) for each in turned}) == GEOMETRIES
    assert [each.shape[:2] for each in turned] == [(4, 6)] * 4 + [(6, 4)] * 4


def test_an_unknown_geometry_is_an_error() -> None:
    with pytest.raises(ValueError, match="geometry 8; allowed: 0 to 7"):
        turn(np.zeros((2, 2)), 8)


@settings(deadline=None)
@given(st.data())
def test_cutting_mirrors_as_padding_and_then_cutting(data: st.DataObject) -> None:
    height, width, size = (data.draw(st.integers(1, 9)) for _ in range(3))
    geometry = data.draw(st.integers(0, GEOMETRIES - 1))
    image = np.arange(height * width * 3).reshape(height, width, 3)
    turned = turn(image, geometry)
    missing = [(0, -side % size) for side in turned.shape[:2]]
    padded = np.pad(turned, [*missing, (0, 0)], mode="reflect")
    row, col = (data.draw(st.integers(0, side - size)) for side in padded.shape[:2])
    expected = padded[row : row + size, col : col + size]
    assert np.array_equal(cut_patch(image, geometry, row, col, size), expected)


def test_the_geometry_does_not_import_torch() -> None:
    code = "import sys, pipeline.dataset_to_patches; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_knobs_of_zero_leave_a_batch_as_it_is() -> None:
    assert torch.equal(altered(colours()), colours())


def test_the_batch_given_is_not_changed() -> None:
    batch = colours()
    photometric(batch, PhotometricKnobs(**ALL), torch.Generator().manual_seed(0))
    assert torch.equal(batch, colours())


def test_the_same_generator_gives_the_same_noise() -> None:
    assert torch.equal(altered(colours(), 1, **ALL), altered(colours(), 1, **ALL))
    assert not torch.equal(altered(colours(), 1, **ALL), altered(colours(), 2, **ALL))


def test_everything_stays_between_zero_and_one() -> None:
    wild = ALL | {"brightness": 1.0, "contrast": 1.0, "hue": 0.5, "additive_sigma": 1.0}
    result = altered(colours(64, 0.0, 1.0), **wild)
    assert result.min() == 0
    assert result.max() == 1


def test_brightness_multiplies_each_image_by_its_own_factor() -> None:
    factors = (altered(colours(), brightness=0.2) / colours()).flatten(1)
    assert torch.allclose(factors, factors[:, :1].expand_as(factors))
    assert len(set(factors[:, 0].tolist())) == len(factors)
    assert 0.8 <= factors.min() < factors.max() <= 1.2


def test_contrast_keeps_the_mean_luma() -> None:
    luma = torch.tensor([0.299, 0.587, 0.114])
    before, after = (x.mean(dim=(2, 3)) @ luma for x in (colours(), altered(colours(), contrast=0.2)))
    assert torch.allclose(before, after, atol=1e-6)
    spread = altered(colours(), contrast=0.2).flatten(1).std(dim=1) / colours().flatten(1).std(dim=1)
    assert 0.8 <= spread.min() < spread.max() <= 1.2


@pytest.mark.parametrize("part", ["saturation", "hue"])
def test_saturation_and_hue_keep_luma_and_greys(part: str) -> None:
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    grey = colours()[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(altered(grey, **{part: 0.2}), grey, atol=1e-6)
    changed = altered(colours(), **{part: 0.2})
    assert not torch.allclose(changed, colours(), atol=1e-3)
    assert torch.allclose((changed * luma).sum(1), (colours() * luma).sum(1), atol=1e-6)


def test_jitter_touches_about_its_share_of_the_images() -> None:
    batch = colours(400)
    touched = (altered(batch, brightness=0.2, jitter_probability=0.75) != batch).flatten(1).any(dim=1)
    assert 0.65 < touched.float().mean() < 0.85


def test_an_image_gets_grain_or_one_factor_and_never_both() -> None:
    noise = {"noise_probability": 0.3, "additive_sigma": 0.01, "multiplicative_low": 0.5, "multiplicative_high": 0.6}
    batch = colours(400)
    ratio = (altered(batch, **noise) / batch).flatten(1)
    untouched = (ratio == 1).all(dim=1)
    scaled = ratio.std(dim=1).lt(1e-6) & ~untouched
    grainy = ~untouched & ~scaled
    assert 0.2 < scaled.float().mean() < 0.4
    assert 0.2 < grainy.float().mean() < 0.4
    assert ((ratio[scaled] >= 0.499) & (ratio[scaled] <= 0.601)).all()
    assert (ratio[grainy].mean(dim=1) - 1).abs().max() < 0.02
