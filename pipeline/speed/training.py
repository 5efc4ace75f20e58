"""How fast the project trains, against a bare loop over the same network with everything already in memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.knobs import TrainingKnobs
from pipeline.learning.training import Loss, autocast, build_optimiser, laid_out, place, same_again


@dataclass(frozen=True)
class Comparison:
    """Samples per second, medians over the rounds; the ratio is the median of the rounds' own ratios."""

    ours: float
    bare: float
    ratio: float


def compare(ours: Iterator[float], bare: Iterator[float], rounds: int) -> Comparison:
    """Takes a speed of each in turn, so that a machine busy for a while slows both; the first round warms up."""
    pairs = [(next(ours), next(bare)) for _ in range(rounds + 1)][1:]
    fast, bare_fast = (statistics.median(speeds) for speeds in zip(*pairs, strict=True))
    return Comparison(fast, bare_fast, statistics.median(mine / other for mine, other in pairs))


def bare_speeds(
    model: nn.Module, batch: Tensor, targets: Tensor, loss: Loss, knobs: TrainingKnobs, *, steps: int
) -> Iterator[float]:
    """Samples per second of `steps` steps on one ready batch, again and again: nothing read, cut or jittered.

    batch: float32 N×3×H×W in [0, 1], on the device where the model is to be trained.
    """
    device = batch.device
    place(model, device, knobs.precision)
    optimiser = build_optimiser(model.train(), knobs)
    batch = laid_out(batch, knobs.precision)
    while True:
        started = time.perf_counter()
        with same_again():
            for _ in range(steps):
                with autocast(device, knobs.precision):
                    output = model(batch)
                measured = loss(output, targets)["loss"]
                optimiser.zero_grad(set_to_none=True)
                torch.autograd.backward(measured)
                optimiser.step()
            measured.item()  # waits for the device
        yield steps * len(batch) / (time.perf_counter() - started)
