"""Processes that train one network together: each computes its rows of every batch, and all know the whole batch.

All ranks draw the same batch, with its noise, and each runs the network on its own rows. The outputs are gathered, so
that every loss is that of the whole batch, whatever it sums over; batch norm takes the statistics of the whole batch,
and dropout is drawn for all of it. Each rank follows the loss back through its own rows only, and the gradients are
added up: what comes out is the step of one process, but for the order of its sums.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torchvision.ops import StochasticDepth


class LostRankError(RuntimeError):
    """Another rank ended before its time, and this one cannot go on without it."""


def slices(rows: int, size: int) -> list[slice]:
    """The rows of a batch for each rank, one after the other, as even as can be; empty where ranks outnumber rows."""
    ends = [rows * rank // size for rank in range(size + 1)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


class Ranks:
    """One of `size` processes in torch's default group. Alone it changes nothing, to the last bit."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.rows = 0  # of the batch that is computed now

    @property
    def counts(self) -> list[int]:
        """Rows of each rank. One without any computes the first row, which then counts for nothing."""
        return [each.stop - each.start for each in slices(self.rows, self.size)]

    @property
    def idle(self) -> bool:
        return self.counts[self.rank] == 0

    def share(self, batch: Tensor) -> Tensor:
        """The rows of the whole batch that this rank computes."""
        if self.size == 1:
            return batch
        self.rows = len(batch)
        return self.cut(batch)

    def cut(self, whole: Tensor) -> Tensor:
        return whole[:1] if self.idle else whole[slices(self.rows, self.size)[self.rank]]

    @contextlib.contextmanager
    def joined(self, model: nn.Module) -> Iterator[None]:
        """Batch norms and dropouts that see the whole batch, as long as this lasts; parts and weights keep names."""
        changed: list[nn.Module] = []
        for part in model.modules() if self.size > 1 else ():
            if isinstance(part, (_BatchNorm, _DropoutNd, StochasticDepth)):
                whole: Any = _normalised if isinstance(part, _BatchNorm) else _dropped
                part.__dict__["forward"] = partial(whole, part, self)  # of this part alone; its class keeps its own
                changed.append(part)
        try:
            yield
        finally:
            for part in changed:
                del part.__dict__["forward"]

    def gathered(self, output: Any) -> Any:
        """The outputs for the whole batch, in tensors, tables and lists; the way back leads to the own rows only."""
        if self.size == 1:
            return output
        if isinstance(output, dict):
            return {name: self.gathered(value) for name, value in output.items()}
        if isinstance(output, (list, tuple)):
            return [self.gathered(value) for value in output]
        return _Gathered.apply(output.float() if output.dtype == torch.bfloat16 else output, self)

    def add_gradients(self, model: nn.Module) -> None:
        """Every gradient becomes the sum of all ranks' gradients."""
        gradients = [each.grad for each in model.parameters() if each.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self.add(flat)
        for gradient, total in zip(gradients, torch.split(flat, [each.numel() for each in gradients]), strict=True):
            gradient.copy_(total.view(gradient.shape))

    def add(self, values: Tensor) -> Tensor:
        """In place, the sum over the ranks."""
        _asked(lambda: dist.all_reduce(values))
        return values

    def all_of(self, values: Tensor) -> list[Tensor]:
        """What each rank holds, all of one shape."""
        parts = [torch.empty_like(values) for _ in range(self.size)]
        _asked(lambda: dist.all_gather(parts, values))
        return parts


ALONE = Ranks()


def _asked(collective: Callable[[], object]) -> None:
    try:
        collective()
    except RuntimeError as error:
        raise LostRankError(f"another rank ended, or cannot be reached: {error}") from error


class _Gathered(Function):
    """Rows of all ranks, in order. Every rank has the same loss, and each takes back what belongs to its own rows."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        _check_rows(part, ranks)
        padded = part.new_zeros((max(ranks.counts), *part.shape[1:]))  # what is exchanged has one shape
        padded[: len(part)] = part
        return torch.cat([rows[:count] for rows, count in zip(ranks.all_of(padded), ranks.counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        own = ctx.ranks.cut(gradients[0])
        return torch.zeros_like(own) if ctx.ranks.idle else own, None


def _check_rows(part: Tensor, ranks: Ranks) -> None:
    wanted = max(ranks.counts[ranks.rank], 1)
    if len(part) != wanted:
        raise ValueError(
            f"a tensor of {len(part)} rows where rank {ranks.rank} computes {wanted}; networks that fold the batch "
            "into another axis cannot be trained by several ranks: set [Execution] ranks = 1"
        )


def _dropped(layer: nn.Module, ranks: Ranks, x: Tensor) -> Tensor:
    """The noise is drawn for the whole batch, in the layout of the part, and cut as the batch is."""
    plain: Callable[[Tensor], Tensor] = partial(type(layer).forward, layer)
    if not layer.training:
        return plain(x)
    _check_rows(x, ranks)
    strides = x.stride()
    order = sorted(range(x.dim()), key=lambda axis: -strides[axis])
    sides = (ranks.rows, *x.shape[1:])
    ones = x.detach().new_ones([sides[axis] for axis in order])
    noise = plain(ones.permute([order.index(axis) for axis in range(x.dim())]))
    return x * ranks.cut(noise)


def _normalised(layer: _BatchNorm, ranks: Ranks, x: Tensor) -> Tensor:
    """Batch norm of the whole batch; outside training as the layer itself has it."""
    if not layer.training:
        plain: Tensor = type(layer).forward(layer, x)
        return plain
    weight = layer.weight if layer.affine else x.new_ones(x.shape[1])
    bias = layer.bias if layer.affine else x.new_zeros(x.shape[1])
    mean, variance, count = _statistics(x, weight, ranks)
    if layer.track_running_stats:
        _remember(layer, mean, variance * (count / (count - 1)))
    moments = (mean.to(weight.dtype), variance.to(weight.dtype))
    out: Tensor = _Normalised.apply(x, weight, bias, *moments, count, layer.eps, ranks)
    return out


def _statistics(x: Tensor, weight: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor, int]:
    """Mean and variance of each channel over all ranks, in float64, and the number of values.

    Of parts of n_r values with means m_r and variances v_r: m = Σ n_r m_r / n, v = Σ n_r (v_r + (m_r − m)²) / n.
    """
    of_a_row = x.numel() // x.shape[1] // max(ranks.counts[ranks.rank], 1)
    count = of_a_row * ranks.rows
    if count == 1:
        raise ValueError(f"one value per channel, in a batch of {tuple(x.shape)}; batch norm needs more to train on")
    with torch.no_grad():
        zeros, ones = torch.zeros_like(weight), torch.ones_like(weight)  # their type is that of the statistics
        told = torch.cat(torch.batch_norm_update_stats(x, zeros, ones, 0.0)).double()
        means, variances = torch.stack(ranks.all_of(told)).chunk(2, dim=1)
        shares = means.new_tensor([[rows / ranks.rows] for rows in ranks.counts])
        mean = (shares * means).sum(0)
        return mean, (shares * (variances + (means - mean).square())).sum(0), count


def _remember(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """The running statistics, as the layer itself keeps them."""
    assert layer.running_mean is not None and layer.running_var is not None and layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    share = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    for kept, new in ((layer.running_mean, mean), (layer.running_var, variance)):
        kept.mul_(1 - share).add_(new.to(kept.dtype), alpha=share)


class _Normalised(Function):
    """(x − mean) / √(variance + ε) · weight + bias, with statistics that depend on the rows of all ranks.

    With x̂ the normalised x, g the gradient that comes back and n the number of values, that of x is
    weight / √(variance + ε) · (g − Σg / n − x̂ · Σ(g x̂) / n), the sums over all ranks.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: int,
        epsilon: float,
        ranks: Ranks,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.count, ctx.epsilon, ctx.ranks = count, epsilon, ranks
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=epsilon)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, mean, variance, None, None, False, ctx.epsilon, [True, True, True]
        )  # as if the statistics did not depend on x
        products, sums = ctx.ranks.add(torch.stack([of_weight, of_bias]).double()) / ctx.count
        if not ctx.ranks.idle:
            sigma = (variance.double() + ctx.epsilon).sqrt()
            slope, level = -weight * products / sigma.square(), -weight * sums / sigma
            sides = (1, -1, *[1] * (x.dim() - 2))
            slope, level, centre = (each.to(direct.dtype).view(sides) for each in (slope, level, mean))
            direct.addcmul_(x - centre, slope).add_(level)
        return direct, of_weight, of_bias, None, None, None, None, None
