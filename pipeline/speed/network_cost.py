"""What a network costs: parameters, floating-point operations, time and memory of one image's forward pass."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.knobs import EfficiencyKnobs
from pipeline.learning.training import evaluating, laid_out

MB = 1e6  # bytes
HostPeak = Callable[[Callable[[], object]], float]  # does the work, returns the bytes that it took at its highest


@dataclass(frozen=True)
class Efficiency:
    """gflops: of convolutions and matrix products, a multiply-add counts as 2. MB: 10⁶ bytes."""

    parameters: int  # trainable
    gflops: float
    milliseconds: float  # median of the rounds
    images_per_second: float
    peak_mb: float  # beyond what the process holds before; nan where that is unknown
    weights_mb: float  # parameters and buffers


def measure(
    network: nn.Module, knobs: EfficiencyKnobs, *, channels: int, device: torch.device, host_peak: HostPeak
) -> Efficiency:
    """One image of the knobs' size and so many channels, forward, as a prediction does it.

    `host_peak` is asked on a CPU only. The peak comes last: a gauge of the host's memory may slow all that follows.
    """
    image = torch.rand(1, channels, knobs.height_px, knobs.width_px, generator=torch.Generator().manual_seed(0))
    batch = laid_out(image.to(device), knobs.precision)

    def forward() -> float:
        return forward_seconds(network, batch, knobs, device)

    flops = count_flops(forward)
    for _ in range(knobs.warm_up):
        forward()
    seconds = statistics.median(forward() for _ in range(knobs.rounds))
    peak = cuda_peak(forward, device) if device.type == "cuda" else host_peak(forward)
    return Efficiency(
        parameters=sum(weights.numel() for weights in network.parameters() if weights.requires_grad),
        gflops=flops / 1e9,
        milliseconds=seconds * 1e3,
        images_per_second=1 / seconds,
        peak_mb=peak / MB,
        weights_mb=weight_bytes(network) / MB,
    )


def forward_seconds(network: nn.Module, batch: Tensor, knobs: EfficiencyKnobs, device: torch.device) -> float:
    """Without laying the network out, which is done before the clock starts, and with the wait for the device."""
    with evaluating(network, device, knobs.precision), torch.inference_mode():
        wait_for(device)
        started = time.perf_counter()
        network(batch)
        wait_for(device)
        return time.perf_counter() - started


def wait_for(device: torch.device) -> None:
    """A GPU computes on while Python is already further."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count_flops(work: Callable[[], object]) -> int:
    """Of all convolutions and matrix products in the work: 2·k²·c_in·c_out for each pixel of a k×k convolution.

    Biases, norms, activations and resampling do not count.
    """
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def cuda_peak(work: Callable[[], object], device: torch.device) -> float:
    """Bytes of tensors at the highest moment of the work, beyond those before it."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return float(torch.cuda.max_memory_allocated(device) - before)


def weight_bytes(network: nn.Module) -> int:
    tensors = itertools.chain(network.parameters(), network.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
