"""The one training loop, for both kinds of nets: batch, loss, step, log; and how nets are run afterwards.

Every epoch draws its order, its augmentation and its dropout from (seed, epoch) alone, and the learning rate
is a function of the step: a run resumed after epoch k ends, on a CPU bit for bit, as one never interrupted.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.knobs import Precision, SegmenterKnobs, TrainingKnobs
from pipeline.learning.augmentation import photometric
from pipeline.learning.ranks import ALONE, Ranks

Bytes = npt.NDArray[np.uint8] | Tensor  # uint8, on the host or already on the device
Batch = tuple[Bytes, Bytes]  # N×H×W×3 RGB (×4 with edges), and what the loss compares with
Loss = Callable[[Any, Tensor], dict[str, Tensor]]  # (output, targets) → "loss" and whatever else to log, means
Progress = Callable[[int, int], None]  # batches done, batches in all

CHECK_STEPS = 20  # a loss that is no number is noticed this often; asking at each step would stall a GPU


class Feed(Protocol):
    """What an epoch is made of."""

    def __len__(self) -> int:
        """Samples in an epoch."""

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[Batch]:
        """One epoch in batches of the given sizes, all chance from `rng`."""


@dataclass(frozen=True)
class Epoch:
    """A finished epoch: its number from 1, its log, and, until the next one is asked for, its state."""

    number: int
    log: dict[str, float]
    _model: nn.Module
    _optimiser: torch.optim.Optimizer

    def state(self) -> dict[str, Any]:
        """A copy on the CPU of all that resuming needs; loads with `weights_only=True`."""
        weights = {name: tensor.contiguous() for name, tensor in _copy(self._model.state_dict()).items()}
        return {"epoch": self.number, "model": weights, "optimiser": _copy(self._optimiser.state_dict())}


def _copy(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(value) for value in tree] if isinstance(tree, list) else tree


def fit(
    model: nn.Module,
    feed: Feed,
    loss_at: Callable[[int], Loss],
    knobs: TrainingKnobs,
    *,
    device: torch.device,
    resume: dict[str, Any] | None,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Epoch]:
    """Train the model in place, epoch by epoch, each with its own loss; `resume` is the state of an earlier epoch."""
    place(model, device, knobs.precision)
    optimiser = build_optimiser(model, knobs)
    done = 0
    if resume is not None:
        model.load_state_dict(resume["model"])
        optimiser.load_state_dict(resume["optimiser"])
        done = int(resume["epoch"])
    for number in range(done + 1, knobs.epochs + 1):
        started = time.perf_counter()
        with seeded(epoch_seed(knobs.seed, number), device), ranks.joined(model):
            log = _epoch(number, model, feed, loss_at(number), knobs, device, optimiser, progress, ranks)
        seconds = time.perf_counter() - started
        log |= {"seconds": seconds, "samples_per_second": len(feed) / seconds}
        yield Epoch(number, log, model, optimiser)


def _epoch(
    number: int,
    model: nn.Module,
    feed: Feed,
    loss: Loss,
    knobs: TrainingKnobs,
    device: torch.device,
    optimiser: torch.optim.Optimizer,
    progress: Progress | None,
    ranks: Ranks,
) -> dict[str, float]:
    """Every sample of the epoch once; the log is the mean over its samples."""
    model.train()
    sizes, seed, rate = batch_sizes(len(feed), knobs.batch_size), epoch_seed(knobs.seed, number), 0.0
    generator = torch.Generator(device).manual_seed(seed)
    totals: dict[str, Tensor] = {}
    for index, (images, targets) in enumerate(feed.batches(sizes, np.random.default_rng(seed))):
        rate = learning_rate(knobs, (number - 1) * len(sizes) + index, len(sizes))
        batch = photometric(to_batch(images, device), knobs, generator)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with autocast(device, knobs.precision):
            output = model(laid_out(ranks.share(batch), knobs.precision))
        measured = loss(ranks.gathered(output), torch.as_tensor(targets).to(device))
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(measured["loss"])
        ranks.add_gradients(model)
        optimiser.step()
        for name, value in measured.items():
            totals[name] = totals.get(name, 0) + value.detach().double() * len(images)
        if index % CHECK_STEPS == 0 or index == len(sizes) - 1:
            check_finite(totals["loss"].item(), number)
        if progress is not None:
            progress((number - 1) * len(feed) + sum(sizes[: index + 1]), knobs.epochs * len(feed))
    return {name: total.item() / len(feed) for name, total in totals.items()} | {"learning_rate": rate}


def check_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss of epoch {epoch} is {loss}; try a smaller learning_rate")


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed of its own for every epoch of every seed (epoch 0: the weights before training)."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def same_again() -> contextlib.AbstractContextManager[None]:
    """On a GPU: the same kernels for the same shapes, and float32 that is float32 and not TF32."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's own generators, for first weights and dropout, start from `seed` and are put back afterwards."""
    gpus = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus), same_again():
        torch.manual_seed(seed)
        yield


def draw(rows: int, samples: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """`samples` of the rows in random order; none comes again before all have come."""
    rounds = -(-samples // rows)
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:samples]


def batch_sizes(samples: int, batch_size: int) -> list[int]:
    """Full batches, then the rest; a rest of one joins the batch before: batch norm cannot train on one."""
    full, rest = divmod(samples, batch_size)
    sizes = [batch_size] * full + [rest] * (rest > 0)
    return [*sizes[:-2], sizes[-2] + 1] if len(sizes) > 1 and rest == 1 else sizes


def build_optimiser(model: nn.Module, knobs: TrainingKnobs) -> torch.optim.Optimizer:
    """SGD with momentum, or one of the Adams, which have no use for the momentum."""
    if knobs.optimiser == "sgd":
        return torch.optim.SGD(
            model.parameters(), knobs.learning_rate, momentum=knobs.momentum, weight_decay=knobs.weight_decay
        )
    kind = torch.optim.Adam if knobs.optimiser == "adam" else torch.optim.AdamW
    return kind(model.parameters(), knobs.learning_rate, weight_decay=knobs.weight_decay)


def learning_rate(knobs: TrainingKnobs, step: int, steps_per_epoch: int) -> float:
    """The rate of a step, counted from 0 over the whole training.

    step: × step_factor after every step_epochs epochs. onecycle: a cosine up to learning_rate, another down.
    poly: × (1 − share of the steps done)^poly_power, from 1 down to cycle_end.
    """
    if knobs.schedule == "step":
        return knobs.learning_rate * knobs.step_factor ** (step // steps_per_epoch // knobs.step_epochs)
    if knobs.schedule == "constant":
        return knobs.learning_rate
    last = knobs.epochs * steps_per_epoch - 1
    if isinstance(knobs, SegmenterKnobs) and knobs.schedule == "poly":
        left = float((1 - step / (last + 1)) ** knobs.poly_power)
        return knobs.learning_rate * (knobs.cycle_end + (1 - knobs.cycle_end) * left)
    peak = knobs.cycle_rise * (last + 1) - 1
    if step <= peak:
        return knobs.learning_rate * _cosine(knobs.cycle_start, 1, step / peak if peak else 1)
    return knobs.learning_rate * _cosine(1, knobs.cycle_end, (step - peak) / (last - peak))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def to_batch(images_rgb: Bytes, device: torch.device) -> Tensor:
    """uint8 N×H×W×C → float32 N×C×H×W in [0, 1]; scaled on the device: bytes travel, not floats."""
    pixels = images_rgb if isinstance(images_rgb, Tensor) else torch.from_numpy(np.ascontiguousarray(images_rgb))
    return pixels.to(device).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def place(model: nn.Module, device: torch.device, precision: Precision) -> None:
    """The model on its device, laid out as `laid_out` lays out its batches."""
    layout = torch.channels_last if precision == "bfloat16" else torch.contiguous_format
    model.to(device).to(memory_format=layout)


def laid_out(batch: Tensor, precision: Precision) -> Tensor:
    """Channels last for bfloat16, whose convolutions want it; float32 stays the plain reference."""
    return batch.contiguous(memory_format=torch.channels_last) if precision == "bfloat16" else batch


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextlib.contextmanager
def evaluating(model: nn.Module, device: torch.device, precision: Precision) -> Iterator[None]:
    """The model on its device in evaluation mode, no gradients, the precision asked for."""
    place(model, device, precision)
    model.eval()
    with same_again(), torch.no_grad(), autocast(device, precision):
        yield
