"""Small trainings, done by one process or by several: `python -m tests.rank_cases folder case,… 3,2` does cases with
three ranks, then with two."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

import models
from pipeline.knobs import SegmenterKnobs
from pipeline.learning.losses import LOSSES, segmenter_loss
from pipeline.learning.ranks import ALONE, Ranks
from pipeline.learning.training import fit, seeded
from pipeline.patches_to_classifier import cross_entropy
from tests import networks
from tests.knob_values import SEGMENTER

CPU = torch.device("cpu")
EVERY_LOSS = " + ".join(LOSSES)
KNOBS = replace(SegmenterKnobs(**SEGMENTER), epochs=2, batch_size=5, loss=EVERY_LOSS, learning_rate=0.01)
CASES = {"float64": KNOBS, "float32": KNOBS, "bfloat16": replace(KNOBS, precision="bfloat16")}


NETWORKS = (*models.SEGMENTERS, "resnet18")


@dataclass
class Spots:
    """Noise with a bright bar, which is what is looked for; 12 of them make batches of 5, 5 and 2."""

    side_px: int = 16
    samples: int = 12

    def __len__(self) -> int:
        return self.samples

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        for size in sizes:
            masks = np.zeros((size, 1, self.side_px, self.side_px), np.uint8)
            for mask, (row, height) in zip(masks, rng.integers((0, 1), (12, 5), (size, 2)), strict=True):
                mask[0, row : row + height] = 255
            noise = rng.integers(0, 128, (size, self.side_px, self.side_px, 3), dtype=np.uint8)
            yield noise + masks.transpose(0, 2, 3, 1) // 4, masks


class Net(nn.Module):
    """All that mixes the images of a batch, or draws lots for each of them; logits and one side output."""

    def __init__(self, exact: bool) -> None:
        super().__init__()
        self.kind = torch.float64 if exact else torch.float32
        first = (nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3))
        second = (
            nn.Conv2d(6, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6, momentum=None),
            nn.ReLU(),
            nn.Dropout2d(0.2),
        )
        self.first, self.second = nn.Sequential(*first), nn.Sequential(*second)
        self.skip, self.norm = StochasticDepth(0.5, "row"), nn.BatchNorm2d(6)
        self.head, self.side = nn.Conv2d(6, 1, 1), nn.Conv2d(6, 1, 1)
        self.to(self.kind)

    def forward(self, batch: Tensor) -> dict[str, Any]:
        x = self.first(batch.to(self.kind))
        y = self.norm(x + self.skip(self.second(x)))
        return {"logits": self.head(y), "aux": [self.side(x)]}


@dataclass
class Answers(Spots):
    """The same with yes or no."""

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        for images, _ in super().batches(sizes, rng):
            yield images, rng.integers(0, 2, len(images), dtype=np.uint8)


class Doubled(nn.Module):
    """A network of the project in float64, which leaves so little round-off that a slip shows."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, batch: Tensor) -> Any:
        return self.network(batch.double())


def network_trained(name: str, ranks: Ranks) -> dict[str, Any]:
    """Two epochs of batches of 5 and 6."""
    knobs, feed = replace(KNOBS, loss="bce + dice", learning_rate=1e-3), Spots(64, 11)
    if name in models.SEGMENTERS:
        model = Doubled(networks.built(name))
        with torch.no_grad():
            sides = len(model.eval()(torch.zeros(1, 3, 64, 64))["aux"])
        loss_at = segmenter_loss(knobs, [0.5] * sides)
    else:
        with seeded(0, CPU):
            model = Doubled(models.build_classifier(name, head="linear", weights="none", pixels="unit"))
        feed, loss_at = Answers(64, 11), lambda _: cross_entropy
    log = [epoch.log for epoch in fit(model, feed, loss_at, knobs, device=CPU, resume=None, ranks=ranks)]
    return {"log": log, "model": model.state_dict()}


def trained(case: str, ranks: Ranks = ALONE) -> dict[str, Any]:
    """The state and the log after two epochs."""
    if case in NETWORKS:
        return network_trained(case, ranks)
    knobs = CASES[case]
    with seeded(0, CPU):
        model = Net(case == "float64")
    epochs = fit(model, Spots(), segmenter_loss(knobs, [0.5]), knobs, device=CPU, resume=None, ranks=ranks)
    log = [epoch.log for epoch in epochs]
    return {"log": log, "model": model.state_dict()}


def of_rank(rank: int, folder: Path, cases: Sequence[str], sizes: Sequence[int]) -> None:
    torch.set_num_threads(1)
    for size in sizes:
        if rank < size:
            dist.init_process_group("gloo", init_method=f"file://{folder}/meeting-{size}", rank=rank, world_size=size)
            for case in cases:
                torch.save(trained(case, Ranks(rank, size)), folder / f"{case}-{size}-{rank}.pt")
            dist.destroy_process_group()


def main(folder: Path, cases: Sequence[str], sizes: Sequence[int]) -> None:
    """Forks before anything is computed: torch is imported once."""
    children = []
    for rank in range(max(sizes)):
        child = os.fork()
        if child == 0:
            try:
                of_rank(rank, folder, cases, sizes)
            except BaseException:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                os._exit(1)
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(max(map(abs, codes)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2].split(","), [int(size) for size in sys.argv[3].split(",")])
