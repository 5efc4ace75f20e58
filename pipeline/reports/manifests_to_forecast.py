"""What past trainings took → what the trainings ahead will take."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """`network` is what decides its speed: the network, its options, batch, machine … as one text."""

    name: str  # of the network, for people
    network: str
    samples_per_epoch: int  # 0: not known yet
    epochs: int

    @property
    def samples(self) -> int:
        return self.samples_per_epoch * self.epochs


@dataclass(frozen=True)
class Forecast:
    trainings: int
    seconds: float  # of those that can be told
    unknown: tuple[str, ...]  # names of the networks of the others


def forecast(ahead: Iterable[Training], past: Iterable[tuple[Training, float]]) -> Forecast:
    """Samples over the median rate of past trainings of the same network; `past` comes with seconds.

    The median, because a training that was resumed has told the seconds of its last part only.
    """
    rates: dict[str, list[float]] = {}
    for training, seconds in past:
        if training.samples and seconds > 0:
            rates.setdefault(training.network, []).append(training.samples / seconds)
    every = list(ahead)
    known = [training for training in every if training.samples and training.network in rates]
    seconds = sum(training.samples / statistics.median(rates[training.network]) for training in known)
    return Forecast(len(every), seconds, tuple(training.name for training in every if training not in known))
