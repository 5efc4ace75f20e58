"""GradCAM++ of the class crack."""

import ctypes
import gc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import models
from models.networks.classifier import Classifier
from pipeline.classifier_to_cams import CamMaker, cam, cam_to_image, gradcam_plus_plus, tile_starts
from pipeline.knobs import CamsKnobs
from pipeline.learning.training import seeded

CPU = torch.device("cpu")
ANALYTIC = CamsKnobs("analytic", 0, "float32")
PACKAGE = CamsKnobs("package", 0, "float32")
Maker = Callable[[np.ndarray], object]

FEW_PX = (32, 32)
FEATURE_BYTES = 512 * 4  # of a feature map of such an image: one cell, float32
MALLINFO = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
C_LIBRARY = ctypes.CDLL(None)
needs_mallinfo = pytest.mark.skipif(not hasattr(C_LIBRARY, "mallinfo2"), reason="glibc 2.33 counts its memory exactly")


def street(seed: int, size: tuple[int, int] = (70, 130), bar: bool = True) -> np.ndarray:
    image = np.random.default_rng(seed).integers(120, 200, (*size, 3), dtype=np.uint8)
    if bar:
        image[:, 12:20] = 10
    return image


def briefly_trained(head: str) -> Classifier:
    with seeded(0, CPU):
        model = models.build_classifier("resnet18", head=head, weights="none", pixels="imagenet")
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    for step in range(8):
        images = np.stack([street(step * 8 + k, (64, 64), bar=k % 2 == 1) for k in range(8)])
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        loss = F.cross_entropy(model(batch), torch.arange(8) % 2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module", params=["linear", "dense1000"])
def model(request: pytest.FixtureRequest) -> Iterator[Classifier]:
    yield briefly_trained(request.param)


def test_the_package_and_the_short_cut_agree(model: Classifier) -> None:
    fast, slow = CamMaker(model, ANALYTIC, device=CPU), CamMaker(model, PACKAGE, device=CPU)
    for seed in range(4):
        image = street(seed)
        assert fast.unscaled(image).max() > 0
        assert np.allclose(fast.unscaled(image), slow.unscaled(image), rtol=2e-3, atol=1e-9)
        assert np.abs(fast(image) - slow(image)).max() < 2e-3


def test_a_cam_has_one_value_for_every_32_pixels_and_the_maximum_one(model: Classifier) -> None:
    image = street(0)
    result = cam(model, image, ANALYTIC, device=CPU)
    assert (result.shape, result.dtype) == ((3, 5), np.float32)
    assert result.min() >= 0
    assert result.max() == 1


def test_a_cam_maker_gives_the_same_cam_again(model: Classifier) -> None:
    for knobs in (ANALYTIC, PACKAGE):
        maker = CamMaker(model, knobs, device=CPU)
        first = maker(street(0))
        maker(street(1))
        assert np.array_equal(maker(street(0)), first)


def test_a_cam_maker_leaves_the_weights_alone(model: Classifier) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for knobs in (ANALYTIC, PACKAGE):
        cam(model, street(0), knobs, device=CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_bfloat16_gives_about_the_same_cam(model: Classifier) -> None:
    reference = cam(model, street(0), ANALYTIC, device=CPU)
    for method in ("analytic", "package"):
        half = cam(model, street(0), CamsKnobs(method, 0, "bfloat16"), device=CPU)
        assert np.abs(half - reference).max() < 0.1


def test_a_classifier_without_evidence_gives_a_zero_map() -> None:
    model = briefly_trained("linear")
    torch.nn.init.constant_(model.head[-1].weight, -1.0)  # every feature speaks against a crack
    for knobs in (ANALYTIC, PACKAGE):
        result = cam(model, street(0), knobs, device=CPU)
        assert result.shape == (3, 5)
        assert not result.any()


def test_one_feature_with_a_positive_gradient_is_the_map() -> None:
    features = torch.tensor([[[[0.0, 2.0]], [[5.0, 0.0]]]])
    gradient = torch.tensor([[[[1.0, 1.0]], [[-1.0, -1.0]]]])
    share = 1 / (2 + 2 + 1e-6)  # g² / (2 g² + g³ ΣA + ε) at both pixels
    assert np.allclose(gradcam_plus_plus(features, gradient), [[0, 2 * 2 * share]])


def test_a_negative_gradient_whose_denominator_vanishes_makes_no_nan() -> None:
    features, gradient = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), -1.0)
    assert gradcam_plus_plus(features, gradient).tolist() == [[0.0]]


def test_a_cam_lies_over_the_pixels_it_was_made_from() -> None:
    coarse = np.zeros((3, 5), np.float32)
    coarse[1, 3] = 1
    fine = cam_to_image(coarse, (70, 130))  # 96×160 before the padding is cut off
    assert fine.shape == (70, 130)
    row, col = np.unravel_index(fine.argmax(), fine.shape)
    assert (32 <= row < 64, 96 <= col < 128) == (True, True)


def test_tiles_cover_a_side_and_the_last_one_ends_at_the_border() -> None:
    assert tile_starts(64, 128) == [0]
    assert tile_starts(256, 128) == [0, 128]
    assert tile_starts(288, 128) == [0, 128, 160]


def test_a_single_tile_gives_the_map_of_the_whole_image_and_each_tile_is_mapped_by_itself() -> None:
    model = models.build_classifier("resnet18", head="linear", weights="none", pixels="unit").eval()
    image_rgb = np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8)
    device = torch.device("cpu")

    def made(tile_px: int, part: np.ndarray) -> np.ndarray:
        knobs = CamsKnobs(method="analytic", tile_px=tile_px, precision="float32")
        return CamMaker(model, knobs, device=device)(part)

    assert (made(256, image_rgb) == made(0, image_rgb)).all()
    halves = [made(0, np.ascontiguousarray(image_rgb[:, start : start + 128])) for start in (0, 128)]
    assert (made(128, image_rgb) == np.concatenate(halves, axis=1)).all()


def untrained() -> Classifier:
    with seeded(0, CPU):
        return models.build_classifier("resnet18", head="linear", weights="none", pixels="imagenet").eval()


def feed(maker: Maker, image: np.ndarray, times: int) -> None:
    for _ in range(times):
        maker(image)


def tensors_alive() -> tuple[int, int]:
    """How many tensors there are in this process, and the bytes that they hold."""
    gc.collect()
    alive = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    return len(alive), sum(tensor.untyped_storage().nbytes() for tensor in alive)


def hooks_of(model: Classifier) -> int:
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules())


class MallInfo(ctypes.Structure):
    """`struct mallinfo2` of the C library."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO)


def c_bytes_in_use() -> int:
    """What was taken from the C library and not given back, as tensors and arrays are: exact, unlike the memory that
    the system sees, which moves by megabytes with what the library keeps for later.
    """
    gc.collect()
    C_LIBRARY.mallinfo2.restype = MallInfo
    told = C_LIBRARY.mallinfo2()
    return int(told.uordblks + told.hblkhd)


def growth_of_the_second_half(maker: Maker, images: int) -> int:
    """Bytes; the first half settles what libraries keep for good."""
    feed(maker, street(0, FEW_PX), images // 2)
    before = c_bytes_in_use()
    feed(maker, street(0, FEW_PX), images // 2)
    return c_bytes_in_use() - before


def what_stays(maker: Maker, model: Classifier, images: int) -> dict[str, int]:
    """What there is more of after some images than before them."""

    def counted() -> dict[str, int]:
        count, size = tensors_alive()
        return {"tensors": count, "tensor_bytes": size, "hooks": hooks_of(model)}

    feed(maker, street(0, FEW_PX), 10)
    before = counted()
    feed(maker, street(0, FEW_PX), images)
    return {name: value - before[name] for name, value in counted().items()}


@pytest.mark.parametrize("knobs", [ANALYTIC, PACKAGE], ids=["analytic", "package"])
def test_an_image_leaves_no_tensor_and_no_hook_behind(knobs: CamsKnobs) -> None:
    model = untrained()
    left = what_stays(CamMaker(model, knobs, device=CPU), model, 40)
    assert left == {"tensors": 0, "tensor_bytes": 0, "hooks": 0}


@pytest.mark.slow
@needs_mallinfo
@pytest.mark.parametrize(("knobs", "images"), [(ANALYTIC, 1000), (PACKAGE, 60)], ids=["analytic", "package"])
def test_memory_does_not_grow_over_a_thousand_images(knobs: CamsKnobs, images: int) -> None:
    maker = CamMaker(untrained(), knobs, device=CPU)
    assert growth_of_the_second_half(maker, images) < images / 2 * FEATURE_BYTES / 2


def leaking_features(model: Classifier) -> Maker:
    """Keeps the feature map of each image."""
    kept: list[torch.Tensor] = []
    model.trunk.register_forward_hook(lambda module, given, features: kept.append(features))
    return CamMaker(model, ANALYTIC, device=CPU)


def leaking_hooks(model: Classifier) -> Maker:
    """Keeps a maker of its own for each image."""
    kept: list[CamMaker] = []
    return lambda image: kept.append(CamMaker(model, PACKAGE, device=CPU))


def test_a_feature_map_left_behind_by_each_image_would_be_seen() -> None:
    model = untrained()
    left = what_stays(leaking_features(model), model, 40)
    assert left == {"tensors": 40, "tensor_bytes": 40 * FEATURE_BYTES, "hooks": 0}


def test_a_hook_left_behind_by_each_image_would_be_seen() -> None:
    model = untrained()
    assert what_stays(leaking_hooks(model), model, 40)["hooks"] >= 40


@needs_mallinfo
def test_a_feature_map_left_behind_by_each_image_would_be_seen_in_the_memory() -> None:
    assert growth_of_the_second_half(leaking_features(untrained()), 80) > 80 / 2 * FEATURE_BYTES * 0.9


def test_the_trunk_is_never_run_backwards(model: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a gradient reached the trunk")

    for parameter in model.parameters():
        parameter.register_hook(refuse)
    maker = CamMaker(model, ANALYTIC, device=CPU)
    assert maker(street(0)).max() == 1
