"""The losses against numbers computed by hand, against their formulas as loops, and their gradients."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.knobs import SegmenterKnobs
from pipeline.knobs.loss_texts import LOSS_NAMES, parse_loss
from pipeline.learning.losses import LOSSES, segmenter_loss, weights_at
from tests.knob_values import SEGMENTER

LN2, LN3 = math.log(2), math.log(3)
NUMBERS = replace(
    SegmenterKnobs(**SEGMENTER),
    positive_weight=3,
    focal_alpha=1,
    focal_gamma=2,
    dice_smooth=1,
    iou_smooth=1,
    boundary_fade=0.25,
    boundary_floor=0.1,
)
EVERY = pytest.mark.parametrize("name", LOSSES)


def test_every_name_that_settings_may_use_is_in_the_table() -> None:
    assert tuple(LOSSES) == LOSS_NAMES


# Two pixels with p = 1/2, 3/4, of which the first is crack: BCE ln 2 and 2·ln 2, errors 1/2 and 3/4.
BY_HAND = {
    "bce": (LN2 + 2 * LN2) / 2,
    "weighted_bce": (3 * LN2 + 2 * LN2) / 2,
    "balanced_bce": (3 * LN2 + 2 * LN2) / 2 / (3 + 1),
    "weighted_mean_bce": (3 * LN2 + 2 * LN2) / (3 + 1),
    "focal": (0.5**2 * LN2 + 0.75**2 * 2 * LN2) / 2,
    "dice": 1 - (2 * 0.5 + 1) / (0.5 + 0.75 + 1 + 1),
    "dice_per_image": 1 - (2 * 0.5 + 1) / (0.25 + 0.5625 + 1 + 1),
    "soft_iou": 1 - (0.5 + 1) / (1 + 0.75 + 1),
    "lovasz": 0.75 * (1 - 1 / 2) + 0.5 * (1 / 2),  # first the greater error alone (IoU 1/2), then both (IoU 0)
    "boundary": (0.5 * 0 + 0.75 * 1) / 2,
}


@EVERY
def test_a_loss_of_two_pixels_is_what_one_computes_by_hand(name: str) -> None:
    logits, targets = torch.tensor([[[[0.0, LN3]]]]), torch.tensor([[[[1.0, 0.0]]]])
    loss = LOSSES[name](logits, targets, NUMBERS)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(BY_HAND[name], abs=1e-6)


def test_a_boundary_is_charged_by_distance_and_paid_for_by_depth() -> None:
    targets = torch.tensor([[[[0.0, 0, 1, 1, 1, 0]]]])  # distances −: 2, 1 outside left; edge, 1 deep, edge; 1
    loss = LOSSES["boundary"](torch.full_like(targets, LN3), targets, NUMBERS)
    assert loss.item() == pytest.approx(0.75 * (1 + 0.5 + 0 - 1 + 0 + 0.5) / 6)


# The formulas once more, pixel by pixel, in float64


def pixels(logits: np.ndarray, targets: np.ndarray) -> list[tuple[float, float]]:
    return [(1 / (1 + math.exp(-x)), y) for x, y in zip(logits.ravel(), targets.ravel(), strict=True)]


def costs(logits: np.ndarray, targets: np.ndarray, crack: float = 1) -> list[float]:
    return [-crack * y * math.log(p) - (1 - y) * math.log(1 - p) for p, y in pixels(logits, targets)]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def over_images(loss: Callable, logits: np.ndarray, targets: np.ndarray) -> float:
    return mean([loss(*pair) for pair in zip(logits, targets, strict=True)])


def dice_of(logits: np.ndarray, targets: np.ndarray, power: int) -> float:
    both = pixels(logits, targets)
    whole = sum(p**power + y**power for p, y in both)
    return 1 - (2 * sum(p * y for p, y in both) + NUMBERS.dice_smooth) / (whole + NUMBERS.dice_smooth)


def iou_of(logits: np.ndarray, targets: np.ndarray) -> float:
    both = pixels(logits, targets)
    overlap, union = sum(p * y for p, y in both), sum(p + y - p * y for p, y in both)
    return 1 - (overlap + NUMBERS.iou_smooth) / (union + NUMBERS.iou_smooth)


def lovasz_of(logits: np.ndarray, targets: np.ndarray) -> float:
    """The greatest errors are mistakes, first one, then two, …: each adds its size times what it costs in IoU."""
    both = pixels(logits, (targets >= 0.5) * 1.0)
    ranking = sorted(range(len(both)), key=lambda i: -abs(both[i][0] - both[i][1]))
    crack = {i for i, (_, y) in enumerate(both) if y == 1}
    loss, before = 0.0, 0.0
    for k, i in enumerate(ranking, start=1):
        predicted = crack ^ set(ranking[:k])
        after = 1 - len(crack & predicted) / len(crack | predicted) if crack | predicted else 0.0
        loss += abs(both[i][0] - both[i][1]) * (after - before)
        before = after
    return loss


def boundary_of(logits: np.ndarray, targets: np.ndarray) -> float:
    """One image 1×H×W."""
    crack = targets[0] >= 0.5
    if crack.all() or not crack.any():
        return 0.0
    places = list(np.ndindex(crack.shape))
    distance = {here: min(math.dist(here, there) for there in places if crack[there] != crack[here]) for here in places}
    farthest = {side: max(distance[here] for here in places if crack[here] == side) for side in (False, True)}
    terms = []
    for here in places:
        signed = (-1 if crack[here] else 1) * distance[here] / farthest[bool(crack[here])]
        edge = crack[here] and distance[here] == 1
        terms.append(0 if edge else signed / (1 + math.exp(-logits[0][here])))
    return mean(terms)


FORMULAS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "bce": lambda x, y: mean(costs(x, y)),
    "weighted_bce": lambda x, y: mean(costs(x, y, 3)),
    "balanced_bce": lambda x, y: mean([cost / (3 + 1) for cost in costs(x, y, 3)]),
    "weighted_mean_bce": lambda x, y: sum(costs(x, y, 3)) / sum(3 * each + 1 - each for each in y.ravel()),
    "focal": lambda x, y: mean([(1 - math.exp(-cost)) ** 2 * cost for cost in costs(x, y)]),
    "dice": partial(dice_of, power=1),
    "dice_per_image": partial(over_images, partial(dice_of, power=2)),
    "soft_iou": partial(over_images, iou_of),
    "lovasz": partial(over_images, lovasz_of),
    "boundary": partial(over_images, boundary_of),
}


def cases() -> list[tuple[np.ndarray, np.ndarray]]:
    """Logits and targets, N×1×H×W: hard and soft, with empty and full masks among them."""
    rng = np.random.default_rng(0)
    found = []
    for shape in ((1, 1, 3, 4), (3, 1, 6, 5), (2, 1, 1, 9)):
        logits, hard = rng.normal(0, 3, shape), (rng.random(shape) < 0.4) * 1.0
        empty, full = hard.copy(), hard.copy()
        empty[0], full[-1] = 0, 1
        found += [(logits, targets) for targets in (hard, empty, full, rng.integers(0, 256, shape) / 255)]
    return found


@EVERY
def test_a_loss_equals_its_formula(name: str) -> None:
    for logits, targets in cases():
        expected = FORMULAS[name](logits, targets)
        exact = LOSSES[name](torch.tensor(logits), torch.tensor(targets), NUMBERS)
        single = LOSSES[name](torch.tensor(logits).float(), torch.tensor(targets).float(), NUMBERS)
        assert exact.dtype == torch.float64 and exact.item() == pytest.approx(
            expected, abs=1e-8
        )  # distances are float32
        assert single.dtype == torch.float32 and single.item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


@EVERY
def test_the_gradient_is_that_of_the_loss(name: str) -> None:
    for logits, targets in cases():
        point = torch.tensor(logits, requires_grad=True)
        loss = partial(LOSSES[name], targets=torch.tensor(targets), knobs=NUMBERS)
        assert torch.autograd.gradcheck(loss, point)


def test_the_boundary_term_really_has_a_gradient() -> None:
    targets = torch.tensor([[[[0.0, 0, 1, 1, 1, 0]]]])
    logits = torch.zeros_like(targets, requires_grad=True)
    LOSSES["boundary"](logits, targets, NUMBERS).backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad, 0.25 / 6 * torch.tensor([[[[1, 0.5, 0, -1, 0, 0.5]]]]))


@EVERY
def test_going_down_the_gradient_finds_a_crack(name: str) -> None:
    targets = torch.zeros(2, 1, 7, 9)
    targets[:, :, 2:5, 1:8] = 1
    logits = torch.zeros_like(targets, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.5)
    for _ in range(60):
        optimiser.zero_grad()
        LOSSES[name](logits, targets, NUMBERS).backward()
        optimiser.step()
    probabilities = logits.detach().sigmoid()
    assert probabilities[targets == 0].max() < 0.2
    assert probabilities[:, :, 3, 2:7].min() > 0.8  # the inside: a boundary loss says nothing about the edge itself


@EVERY
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_saturated_logits_have_finite_losses_and_gradients(name: str, gamma: float) -> None:
    far = torch.tensor([-1e4, -90, -20, 0, 20, 90, 1e4])
    right, wrong = (far > 0).float(), (far < 0).float()
    bare = replace(NUMBERS, focal_gamma=gamma, dice_smooth=0, iou_smooth=0)
    for targets in (right, wrong, torch.zeros(7), torch.ones(7), torch.full((7,), 0.3)):
        for numbers in (NUMBERS, bare):
            assert_finite(name, far, targets, numbers)
            assert_finite(name, torch.full((7,), -1e4), targets, numbers)
            assert_finite(name, torch.full((7,), 1e4), targets, numbers)


def assert_finite(name: str, far: Tensor, targets: Tensor, numbers: SegmenterKnobs) -> None:
    logits = far.view(1, 1, 1, 7).clone().requires_grad_()
    loss = LOSSES[name](logits, targets.view(1, 1, 1, 7), numbers)
    loss.backward()
    assert loss.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.parametrize("name", ["dice", "dice_per_image", "soft_iou", "lovasz"])
def test_a_loss_of_overlap_is_nothing_for_the_mask_itself_and_for_nothing_found_where_nothing_is(name: str) -> None:
    bare = replace(NUMBERS, dice_smooth=0, iou_smooth=0)
    crack = torch.tensor([[[[1.0, 0, 0, 1]]]])
    for mask in (crack, torch.zeros_like(crack)):
        assert LOSSES[name](2e4 * (mask - 0.5), mask, bare).item() == 0
    assert LOSSES[name](2e4 * (0.5 - crack), crack, bare).item() == 1


def test_the_lovasz_loss_of_a_hard_prediction_is_one_minus_iou() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        predicted, mask = rng.random(30) < 0.5, rng.random(30) < 0.4
        logits = torch.from_numpy(np.where(predicted, 1e4, -1e4)).view(1, 1, 5, 6)
        loss = LOSSES["lovasz"](logits, torch.from_numpy(mask).double().view(1, 1, 5, 6), NUMBERS)
        assert loss.item() == pytest.approx(1 - (predicted & mask).sum() / (predicted | mask).sum())


def test_dice_is_of_the_batch_and_the_others_of_the_image() -> None:
    logits, targets = torch.full((2, 1, 1, 2), 1e4), torch.zeros(2, 1, 1, 2)
    logits[0, 0, 0, 1], targets[0] = -1e4, torch.tensor([1.0, 1])  # finds half of the one, all of the other is false
    bare = replace(NUMBERS, dice_smooth=0, iou_smooth=0)
    assert LOSSES["dice"](logits, targets, bare).item() == pytest.approx(1 - 2 / 5)
    assert LOSSES["dice_per_image"](logits, targets, bare).item() == pytest.approx(1 - (2 / 3 + 0) / 2)
    assert LOSSES["soft_iou"](logits, targets, bare).item() == pytest.approx(1 - (1 / 2 + 0) / 2)


@pytest.mark.parametrize(("name", "least"), [("bce", 0.3), ("weighted_bce", 0.9 / 1.6), ("dice_per_image", 0.3)])
def test_a_soft_target_pulls_where_the_docstring_says(name: str, least: float) -> None:
    targets = torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64)
    point = torch.tensor([[[[math.log(least / (1 - least))]]]], dtype=torch.float64, requires_grad=True)
    LOSSES[name](point, targets, NUMBERS).backward()
    assert point.grad is not None and abs(point.grad.item()) < 1e-12


# Texts


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("bce", {"bce": 1}),
        ("0.5*bce+0.5*dice", {"bce": 0.5, "dice": 0.5}),
        (" focal + 2 * soft_iou ", {"focal": 1, "soft_iou": 2}),
        (
            ".25*balanced_bce+1e-3*boundary+3.*dice_per_image",
            {"balanced_bce": 0.25, "boundary": 0.001, "dice_per_image": 3},
        ),
    ],
)
def test_a_text_is_a_sum(text: str, terms: dict[str, float]) -> None:
    assert list(parse_loss(text).items()) == list(terms.items())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dcie", "there is no loss 'dcie'; did you mean dice?"),
        ("BCE", "there is no loss 'BCE'; did you mean bce?"),
        ("0.5*hinge", "there is no loss 'hinge'; known: balanced_bce, bce, .*weighted_mean_bce"),
        ("", "'' in the loss ''; allowed: terms such as"),
        ("bce+", r"'' in the loss 'bce\+'; allowed"),
        ("bce*2", r"'bce\*2' in the loss .*allowed"),
        ("bce - dice", "'bce - dice' in the loss .*allowed"),
        ("1.2.3*bce", r"'1.2.3\*bce' in the loss .*allowed"),
        ("bce+bce", "bce stands twice"),
        ("0*bce", "weight 0 of bce .*allowed: finite numbers above 0"),
        ("1e999*bce", "weight 1e999 of bce .*allowed: finite numbers above 0"),
    ],
)
def test_a_wrong_text_is_told_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as told:
        parse_loss(text)
    assert "\n" not in str(told.value)


# Sums over terms, outputs and epochs


def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Main, two side outputs, and targets as bytes."""
    generator = torch.Generator().manual_seed(0)
    main, one, two = torch.randn(3, 2, 1, 6, 7, generator=generator)
    return main, one, two, torch.randint(0, 256, (2, 1, 6, 7), generator=generator, dtype=torch.uint8)


def of(text: str, logits: Tensor, targets: Tensor) -> float:
    terms = {name: LOSSES[name](logits, targets.float() / 255, NUMBERS).item() for name in parse_loss(text)}
    return sum(weight * terms[name] for name, weight in parse_loss(text).items())


def test_side_outputs_add_with_their_weights_and_may_have_a_loss_of_their_own() -> None:
    main, one, two, targets = batch()
    output = {"logits": main, "aux": [one, two]}
    for side, read_as in (("focal", "focal"), ("", "0.5*bce+2*dice")):
        measured = segmenter_loss(replace(NUMBERS, loss="0.5*bce+2*dice", side_loss=side), [0.25, 4])(1)(
            output, targets
        )
        expected = (
            of("0.5*bce+2*dice", main, targets) + 0.25 * of(read_as, one, targets) + 4 * of(read_as, two, targets)
        )
        assert measured["loss"].item() == pytest.approx(expected, rel=1e-6)
        assert list(measured) == ["loss", "bce", "dice"]
        assert measured["bce"].item() == pytest.approx(of("bce", main, targets), rel=1e-6)
        assert measured["dice"].item() == pytest.approx(of("dice", main, targets), rel=1e-6)


def test_the_boundary_term_takes_over_from_the_others_epoch_by_epoch() -> None:
    terms = parse_loss("2*bce+dice+4*boundary")
    alphas = [weights_at(terms, epoch, NUMBERS) for epoch in range(1, 7)]
    assert [weights["dice"] for weights in alphas] == [1, 0.75, 0.5, 0.25, 0.1, 0.1]
    assert [weights["bce"] for weights in alphas] == [2, 1.5, 1, 0.5, 0.2, 0.2]
    assert [weights["boundary"] for weights in alphas] == [0, 1, 2, 3, 3.6, 3.6]


@pytest.mark.parametrize("text", ["bce+0.5*dice", "2*boundary"])
def test_nothing_fades_without_a_boundary_or_with_nothing_beside_it(text: str) -> None:
    assert weights_at(parse_loss(text), 7, NUMBERS) == parse_loss(text)


def test_side_and_main_fade_each_by_its_own_terms() -> None:
    main, one, _, targets = batch()
    measured = segmenter_loss(replace(NUMBERS, loss="bce+boundary", side_loss="dice"), [0.5])(3)(
        {"logits": main, "aux": [one]}, targets
    )
    expected = 0.5 * of("bce+boundary", main, targets) + 0.5 * of("dice", one, targets)
    assert measured["loss"].item() == pytest.approx(expected, rel=1e-6)


def test_half_precision_logits_cost_what_they_cost_in_full_even_under_autocast() -> None:
    main, _, _, targets = batch()
    half = main.bfloat16().requires_grad_()
    text = "+".join(LOSS_NAMES)
    with torch.autocast("cpu", torch.bfloat16):
        measured = segmenter_loss(replace(NUMBERS, loss=text, side_loss=""), [])(2)(
            {"logits": half, "aux": []}, targets
        )
    full = segmenter_loss(replace(NUMBERS, loss=text, side_loss=""), [])(2)(
        {"logits": half.detach().float(), "aux": []}, targets
    )
    for name, value in measured.items():
        assert value.dtype == torch.float32 and torch.equal(value.detach(), full[name])
    measured["loss"].backward()
    assert half.grad is not None and half.grad.isfinite().all() and half.grad.any()


def test_what_does_not_fit_together_is_said() -> None:
    main, one, two, targets = batch()
    with pytest.raises(ValueError, match="2 side weights for 1 side outputs; one for each"):
        segmenter_loss(replace(NUMBERS, loss="bce", side_loss=""), [1, 1])(1)({"logits": main, "aux": [one]}, targets)
    with pytest.raises(ValueError, match="0 side weights for 2 side outputs"):
        segmenter_loss(replace(NUMBERS, loss="bce", side_loss=""), [])(1)({"logits": main, "aux": [one, two]}, targets)
    with pytest.raises(ValueError, match="shapes must agree"):
        segmenter_loss(replace(NUMBERS, loss="bce", side_loss=""), [1])(1)(
            {"logits": main, "aux": [one[:, :, :3]]}, targets
        )
    with pytest.raises(ValueError, match="did you mean focal"):
        segmenter_loss(replace(NUMBERS, loss="bce", side_loss="foca"), [1])
