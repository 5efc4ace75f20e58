"""What past trainings took → what the trainings ahead will take."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Training:
    """`network` is what decides its speed: the network, its options, batch, machine … as one text; `alike` the same
    without the number of threads, for a rough guess."""

    name: str  # of the network, for people
    network: str
    samples_per_epoch: int  # 0: not known yet
    epochs: int
    alike: str = ""

    @property
    def samples(self) -> int:
        return self.samples_per_epoch * self.epochs


@dataclass(frozen=True)
class Forecast:
    trainings: int
    seconds: float  # of those that can be told
    unknown: tuple[str, ...]  # names of the networks of the others
    rough: tuple[str, ...]  # names of those that were trained with another number of threads only


def forecast(ahead: Iterable[Training], past: Iterable[tuple[Training, float]]) -> Forecast:
    """Samples over the median rate of past trainings of the same network; `past` comes with seconds.

    The median, because a training that was resumed has told the seconds of its last part only.
    """
    exact: dict[str, list[float]] = {}
    rough: dict[str, list[float]] = {}
    for training, seconds in past:
        if training.samples and seconds > 0:
            rate = training.samples / seconds
            exact.setdefault(training.network, []).append(rate)
            rough.setdefault(training.alike, []).append(rate)
    every = list(ahead)
    rates = [exact.get(each.network) or rough.get(each.alike) if each.samples else None for each in every]
    pairs = list(zip(every, rates, strict=True))
    return Forecast(
        len(every),
        sum(each.samples / statistics.median(found) for each, found in pairs if found),
        tuple(each.name for each, found in pairs if not found),
        tuple(each.name for each, found in pairs if found and each.network not in exact),
    )
