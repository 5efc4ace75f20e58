"""The dense CRF against an exact mean field over all pairs of pixels."""

import functools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydensecrf.densecrf import DenseCRF2D

from pipeline.ops import crf
from pipeline.ops.crf import CrfParameters, Labeller, dense_crf, labels_at_scale, packed_labels, plain_labels

PARAMETERS = [
    (3.0, 3.0, 80.0, 13.0, 10.0, 5),
    (1.0, 1.0, 20.0, 5.0, 3.0, 5),
    (5.0, 5.0, 50.0, 20.0, 5.0, 1),
    (3.0, 1.0, 20.0, 10.0, 3.0, 10),
    (1.0, 0.0, 50.0, 10.0, 5.0, 5),
    (3.0, 3.0, 80.0, 13.0, 0.0, 5),
]


def scene(seed: int, height: int = 26, width: int = 31) -> tuple[np.ndarray, np.ndarray]:
    """A dark line on noise, and a map that finds it coarsely."""
    rng = np.random.default_rng(seed)
    image_rgb = rng.normal(150, 8, (height, width, 3))
    crack = np.zeros((height, width), np.uint8)
    cv2.line(crack, (2, 3 + seed), (width - 3, height - 5), 1, 2)
    image_rgb[crack > 0] -= 90
    coarse = cv2.GaussianBlur(crack.astype(np.float32), (0, 0), 3)
    return image_rgb.clip(0, 255).astype(np.uint8), coarse / coarse.max()


def exact_mean_field(
    image_rgb: np.ndarray, probability: np.ndarray, scale: float, clip: float, *p: float
) -> np.ndarray:
    """models.md, section 9, written out: Q ← softmax(−U + Σ w · D^-½ K D^-½ Q)."""
    gaussian_sxy, gaussian_compat, bilateral_sxy, bilateral_srgb, bilateral_compat, iterations = p
    xy = np.indices(probability.shape).reshape(2, -1).T.astype(float)
    rgb = image_rgb.reshape(-1, 3).astype(float)
    message = gaussian_compat * normalised_kernel(xy / gaussian_sxy) + bilateral_compat * normalised_kernel(
        np.hstack([xy / bilateral_sxy, rgb / bilateral_srgb])
    )
    crack = np.clip(probability.astype(float).ravel() * scale, clip, 1 - clip)
    unary = -np.log(np.stack([1 - crack, crack], axis=1))
    q = softmax(-unary)
    for _ in range(int(iterations)):
        q = softmax(-unary + message @ q)
    return (q[:, 1] > q[:, 0]).reshape(probability.shape)


def normalised_kernel(features: np.ndarray) -> np.ndarray:
    kernel = np.exp(-0.5 * ((features[:, None] - features[None]) ** 2).sum(axis=2))
    weight = 1 / np.sqrt(kernel.sum(axis=1))
    return weight[:, None] * kernel * weight


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("parameters", PARAMETERS, ids=str)
def test_labels_agree_with_the_exact_mean_field(parameters: tuple[float, ...]) -> None:
    agree = []
    for seed in range(4):
        image_rgb, probability = scene(seed)
        ours = dense_crf(image_rgb, probability, CrfParameters(*parameters), unary_scale=0.9, unary_clip=0.05)  # type: ignore[arg-type]
        agree.append(ours == exact_mean_field(image_rgb, probability, 0.9, 0.05, *parameters))
    assert np.mean(agree) >= 0.995


def by_one_run(image_rgb: np.ndarray, probability: np.ndarray, one: CrfParameters) -> np.ndarray:
    """The library's own loop over the iterations, with the same unary and kernels."""
    height, width = probability.shape
    field = DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(crf._crack_energies(probability, *UNARY.values()))
    if one.gaussian_compat:
        crf._add_kernel(field, image_rgb, one.gaussian_sxy_px, None, one.gaussian_compat)
    if one.bilateral_compat:
        crf._add_kernel(field, image_rgb, one.bilateral_sxy_px, one.bilateral_srgb, one.bilateral_compat)
    no_crack, crack = np.asarray(field.inference(one.iterations))
    return (crack > no_crack).reshape(probability.shape)


UNARY = {"unary_scale": 0.9, "unary_clip": 0.05}
SETS = [CrfParameters(*parameters) for parameters in PARAMETERS]  # type: ignore[arg-type]
METHODS = {"plain": plain_labels, "packed": packed_labels}
METHOD = pytest.mark.parametrize(
    "labeller", [functools.partial(method, **UNARY) for method in METHODS.values()], ids=METHODS.keys()
)


def labelled(labeller: Labeller, *scene_and_sets: object) -> list[np.ndarray]:
    """The labels in the order of the sets, each of which must come once."""
    pairs = list(labeller(*scene_and_sets))
    assert sorted(place for place, _ in pairs) == list(range(len(pairs)))
    return [label for _, label in sorted(pairs, key=lambda pair: pair[0])]


@METHOD
def test_all_sets_at_once_agree_with_the_exact_mean_field(labeller: Labeller) -> None:
    agree = []
    for seed in range(4):
        exact = [exact_mean_field(*scene(seed), 0.9, 0.05, *one) for one in SETS]
        agree.append(np.mean(np.array(labelled(labeller, *scene(seed), SETS)) == exact, axis=(1, 2)))
    assert (np.mean(agree, axis=0) >= 0.995).all(), "for each parameter set"


@METHOD
def test_several_numbers_of_iterations_from_one_run_equal_separate_runs(labeller: Labeller) -> None:
    several = [one._replace(iterations=iterations) for iterations in (10, 0, 5, 1) for one in SETS[:3]]
    for label, one in zip(labelled(labeller, *scene(0), several), several, strict=True):
        assert (label == by_one_run(*scene(0), one)).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    sets=st.lists(
        st.builds(
            CrfParameters,
            st.sampled_from([0.5, 1.0, 3.0]),
            st.sampled_from([0.0, 1.0, 3.0]),
            st.sampled_from([5.0, 20.0]),
            st.sampled_from([5.0, 20.0]),
            st.sampled_from([0.0, 3.0, 10.0]),
            st.integers(0, 6),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_packed_sets_get_the_labels_that_they_get_alone(
    seed: int, height: int, width: int, sets: list[CrfParameters]
) -> None:
    rng = np.random.default_rng(seed)
    image_rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    probability = rng.random((height, width), dtype=np.float32)
    packed, plain = (
        labelled(functools.partial(method, **UNARY), image_rgb, probability, sets) for method in METHODS.values()
    )
    differing = sum(np.count_nonzero(one != other) for one, other in zip(packed, plain, strict=True))
    assert differing <= 1 + 0.001 * image_rgb[..., 0].size * len(sets), "noise is full of pixels near a tie"


def test_how_packed_sets_share_the_memory_does_not_change_a_label(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = [
        CrfParameters(g, a, 20.0, r, b, 5)
        for g in (1.0, 3.0)
        for a in (1.0, 3.0)
        for r in (5.0, 9.0)
        for b in (3.0, 5.0)
    ]
    packed = functools.partial(packed_labels, **UNARY)
    together = labelled(packed, *scene(1), grid)
    for floats in (1, 3000, 5000):  # one set, three sets, six sets of 806 pixels at a time
        monkeypatch.setattr(crf, "_PACK_FLOATS", floats)
        assert (np.array(labelled(packed, *scene(1), grid)) == np.array(together)).all()


@METHOD
def test_no_sets_give_no_labels(labeller: Labeller) -> None:
    assert list(labeller(*scene(0), [])) == []


@METHOD
def test_what_no_set_may_be_is_said(labeller: Labeller) -> None:
    image_rgb, probability = scene(0)
    with pytest.raises(ValueError, match="-1 iterations; at least 0"):
        list(labeller(image_rgb, probability, [SETS[0], SETS[0]._replace(iterations=-1)]))
    with pytest.raises(ValueError, match="H×W×3"):
        list(labeller(image_rgb[:5], probability, SETS))


def test_a_smaller_photo_is_labelled_with_smaller_kernels_and_the_label_stretched_back() -> None:
    seen = {}

    def labeller(image_rgb, probability, sets):  # type: ignore[no-untyped-def]
        seen.update(image=image_rgb.shape, map=probability.shape, sets=sets)
        label = np.zeros(probability.shape, bool)
        label[0, 1] = True
        yield 0, label

    image_rgb, probability = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.float32)
    ((place, label),) = labels_at_scale(labeller, image_rgb, probability, [CrfParameters(3, 1, 80, 13, 10, 5)], 0.5)
    assert seen == {"image": (2, 3, 3), "map": (2, 3), "sets": [CrfParameters(1.5, 1, 40, 13, 10, 5)]}
    assert place == 0
    assert label.astype(int).tolist() == [[0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0] * 6, [0] * 6]


@METHOD
def test_half_the_size_gives_about_the_same_label(labeller: Labeller) -> None:
    image_rgb, probability = (cv2.resize(part, (124, 104), interpolation=cv2.INTER_CUBIC) for part in scene(2))
    full = labelled(labeller, image_rgb, probability, SETS)
    half = labelled(functools.partial(labels_at_scale, labeller), image_rgb, probability, SETS, 0.5)
    for one, other in zip(full, half, strict=True):
        assert (one & other).sum() / (one | other).sum() > 0.8


def usual(image_rgb: np.ndarray, probability: np.ndarray, **changes: float) -> np.ndarray:
    unary = {name: changes.pop(name, usual) for name, usual in (("unary_scale", 1.0), ("unary_clip", 0.05))}
    return dense_crf(image_rgb, probability, SETS[0]._replace(**changes), **unary)


def test_without_iterations_the_map_alone_decides() -> None:
    image_rgb, probability = scene(0)
    assert (usual(image_rgb, probability, iterations=0) == (probability > 0.5)).all()


def test_without_kernels_the_map_alone_decides() -> None:
    image_rgb, probability = scene(0)
    alone = usual(image_rgb, probability, gaussian_compat=0, bilateral_compat=0)
    assert (alone == (probability > 0.5)).all()


def test_a_map_without_evidence_gives_no_crack() -> None:
    image_rgb, probability = scene(0)
    assert not usual(image_rgb, np.zeros_like(probability)).any()
    assert not usual(image_rgb, probability, unary_scale=0).any()


def test_the_label_follows_the_dark_line() -> None:
    image_rgb, probability = scene(1)
    dark = image_rgb.mean(axis=2) < 105
    label = usual(image_rgb, probability)
    assert (label & dark).sum() / (label | dark).sum() > 0.8


def test_images_need_not_be_contiguous() -> None:
    image_rgb, probability = scene(2)
    views = usual(image_rgb[::-1, ::2], probability[::-1, ::2])
    copies = usual(image_rgb[::-1, ::2].copy(), probability[::-1, ::2].copy())
    assert (views == copies).all()


def test_the_same_input_gives_the_same_label_and_is_left_alone() -> None:
    image_rgb, probability = scene(3)
    assert (usual(image_rgb, probability) == usual(*scene(3))).all()
    assert (image_rgb == scene(3)[0]).all() and (probability == scene(3)[1]).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_the_smallest_images_are_labelled(shape: tuple[int, int]) -> None:
    label = usual(np.full((*shape, 3), 100, np.uint8), np.ones(shape, np.float32))
    assert label.dtype == np.bool_ and label.all()


def test_what_is_not_allowed_is_said() -> None:
    image_rgb, probability = scene(0)
    with pytest.raises(ValueError, match="H×W×3"):
        usual(image_rgb[:5], probability)
    with pytest.raises(ValueError, match="clip"):
        usual(image_rgb, probability, unary_clip=0.5)
    with pytest.raises(ValueError, match="not finite"):
        usual(image_rgb, probability * np.float32(np.nan))
