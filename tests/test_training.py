"""The loop: resuming, schedules, batches, and what it refuses."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.knobs import TrainingKnobs
from pipeline.learning.training import Epoch, batch_sizes, check_finite, draw, epoch_seed, fit, learning_rate, seeded
from tests.knob_values import TRAINING

CPU = torch.device("cpu")
KNOBS = TrainingKnobs(**TRAINING)


@dataclass
class Stripes:
    """Dark and bright pictures."""

    samples: int = 10

    def __len__(self) -> int:
        return self.samples

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for size in sizes:
            labels = rng.integers(0, 2, size, dtype=np.uint8)
            noise = rng.integers(0, 128, (size, 8, 8, 3), dtype=np.uint8)
            yield noise + 100 * labels[:, None, None, None], labels


def network() -> nn.Module:
    with seeded(0, CPU):
        trunk = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
        return nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def loss(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    return {"loss": F.cross_entropy(logits.float(), labels.long())}


def train(
    knobs: TrainingKnobs, model: nn.Module | None = None, resume: dict[str, Any] | None = None
) -> Iterator[Epoch]:
    return fit(model or network(), Stripes(), lambda _: loss, knobs, device=CPU, resume=resume)


@pytest.mark.parametrize("schedule", ["step", "onecycle"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stop", [1, 2])
def test_a_resumed_training_ends_with_the_same_bits(optimiser: str, schedule: str, precision: str, stop: int) -> None:
    knobs = replace(KNOBS, optimiser=optimiser, schedule=schedule, precision=precision)  # type: ignore[arg-type]
    whole = [epoch.state() for epoch in train(knobs)]
    file = io.BytesIO()
    torch.save(whole[stop - 1], file)
    torch.rand(5)  # whatever happened to torch's own generator in between
    file.seek(0)
    resumed = [epoch.state() for epoch in train(knobs, resume=torch.load(file, weights_only=True))]
    assert [state["epoch"] for state in resumed] == list(range(stop + 1, 4))
    for name, weights in whole[-1]["model"].items():
        assert torch.equal(weights, resumed[-1]["model"][name]), name


def test_a_finished_training_resumes_to_nothing_but_its_weights() -> None:
    *_, last = train(KNOBS)
    state, model = last.state(), network()
    assert list(train(KNOBS, model, state)) == []
    assert all(torch.equal(each, state["model"][name]) for name, each in model.state_dict().items())


def test_another_seed_gives_other_weights() -> None:
    first, second = (list(train(replace(KNOBS, seed=seed)))[-1].state()["model"] for seed in (1, 2))
    assert not torch.equal(first["0.weight"], second["0.weight"])


def test_states_kept_from_earlier_epochs_do_not_change() -> None:
    states = [epoch.state()["model"]["0.weight"] for epoch in train(KNOBS)]
    assert not torch.equal(states[0], states[1])


def test_weights_are_stored_in_their_plain_order() -> None:
    *_, last = train(replace(KNOBS, precision="bfloat16"))
    assert all(each.is_contiguous() for each in last.state()["model"].values())


def test_an_epoch_reports_what_it_did() -> None:
    epochs = list(train(KNOBS))
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert set(epochs[0].log) == {"loss", "learning_rate", "seconds", "samples_per_second"}
    assert [epoch.log["learning_rate"] for epoch in epochs] == pytest.approx([0.05, 0.005, 0.0005])


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    list(train(KNOBS))
    assert torch.equal(torch.rand(2), expected)


def test_progress_counts_the_samples_of_all_epochs() -> None:
    seen: list[tuple[int, int]] = []
    arguments = {"device": CPU, "resume": None, "progress": lambda done, total: seen.append((done, total))}
    list(fit(network(), Stripes(), lambda _: loss, KNOBS, **arguments))
    assert seen == [(done, 30) for start in (0, 10, 20) for done in (start + 4, start + 8, start + 10)]


def test_a_loss_that_is_no_number_stops_the_training_and_says_what_to_try() -> None:
    def no_number(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": loss(logits, labels)["loss"] * torch.nan}

    with pytest.raises(FloatingPointError, match=r"epoch 1 is nan; try a smaller learning_rate"):
        list(fit(network(), Stripes(), lambda _: no_number, KNOBS, device=CPU, resume=None))
    with pytest.raises(FloatingPointError, match=r"epoch 4 is inf"):
        check_finite(float("inf"), 4)


def test_the_loss_falls() -> None:
    log = [epoch.log["loss"] for epoch in train(replace(KNOBS, epochs=20, schedule="constant"))]
    assert min(log[-3:]) < log[0]


@pytest.mark.parametrize(("epochs", "steps"), [(1, 10), (3, 7), (2, 50)])
def test_onecycle_is_the_schedule_of_torch(epochs: int, steps: int) -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1, momentum=0.9)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.02, total_steps=epochs * steps)
    knobs = replace(KNOBS, schedule="onecycle", epochs=epochs, learning_rate=0.02)
    for step in range(epochs * steps):
        assert learning_rate(knobs, step, steps) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
        optimiser.step()
        if step < epochs * steps - 1:
            reference.step()


@pytest.mark.parametrize("rise", [0.0, 0.25, 0.3, 0.5, 1.0])
def test_onecycle_works_for_the_shortest_trainings(rise: float) -> None:
    for epochs in (1, 2, 3, 4):
        knobs = replace(KNOBS, schedule="onecycle", epochs=epochs, cycle_rise=rise)
        rates = [learning_rate(knobs, step, 1) for step in range(epochs)]
        assert all(0 < rate <= 0.05 for rate in rates)


def test_onecycle_starts_peaks_and_ends_where_the_knobs_say() -> None:
    knobs = replace(KNOBS, schedule="onecycle", epochs=1, cycle_start=0.5, cycle_end=0.1, cycle_rise=0.3)
    rates = [learning_rate(knobs, step, 10) for step in range(10)]
    assert (rates[0], max(rates), rates[-1]) == pytest.approx((0.025, 0.05, 0.005))
    assert rates.index(max(rates)) == 2


def test_the_step_schedule_divides_after_every_few_epochs() -> None:
    knobs = replace(KNOBS, epochs=4, step_epochs=2, learning_rate=1.0)
    rates = [learning_rate(knobs, step, 3) for step in range(12)]
    assert rates == pytest.approx([1.0] * 6 + [0.1] * 6)


def test_batches_are_full_and_never_end_with_a_single_sample() -> None:
    assert batch_sizes(8, 4) == [4, 4]
    assert batch_sizes(10, 4) == [4, 4, 2]
    assert batch_sizes(9, 4) == [4, 5]
    assert batch_sizes(3, 4) == [3]
    assert batch_sizes(1, 4) == [1]
    assert batch_sizes(2, 1) == [1, 1]


def test_no_row_comes_twice_before_all_have_come_once() -> None:
    rng = np.random.default_rng(0)
    assert len(set(draw(10, 6, rng).tolist())) == 6
    rows = draw(4, 10, rng).tolist()
    assert set(rows[:4]) == set(rows[4:8]) == {0, 1, 2, 3}
    assert len(rows) == 10


def test_every_epoch_of_every_seed_has_a_seed_of_its_own() -> None:
    seeds = {epoch_seed(seed, epoch) for seed in range(30) for epoch in range(30)}
    assert len(seeds) == 900
