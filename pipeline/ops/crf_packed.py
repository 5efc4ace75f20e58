"""The dense CRF for many parameter sets at once: filters are built once and shared, sets travel side by side.

With two labels, mean field moves one number per pixel, s = Q(crack) − Q(no crack):

    s ← tanh(½ (log(p/(1−p)) + Σ compat · K̂ s)),    s⁰ = 2p − 1,    K̂ = D^-½ K D^-½

since a softmax over two labels is a tanh of their difference and the filter K̂ is linear. So each parameter set is
one channel instead of two; the compat is no part of the filter, so sets that differ in it share a filter; and the
library filters all channels in one walk through its lattice.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numba
import numpy as np
import numpy.typing as npt
from pydensecrf import eigen
from pydensecrf.densecrf import DenseCRF2D

from pipeline.ops.crf import (
    CrfParameters,
    Kernels,
    add_bilateral,
    add_gaussian,
    by_kernels,
    check_inputs,
    crack_energies,
)
from pipeline.ops.types import ImageRGB, Map, Mask

Floats: TypeAlias = npt.NDArray[np.float32]
Stops: TypeAlias = Mapping[int, Sequence[int]]  # iterations → places in the settings

_PACK_FLOATS = 2**24  # in each of about nine matrices: 64 MB at most, 25 MB with 27 sets and 640×360 pixels
_HANDED_OUT = -1.0  # the library subtracts compat · K̂ s; this way it hands out K̂ s itself
_LEAST_CHANNELS = 3  # one or two take another way through the library, which rounds differently

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


def packed_labels(
    image_rgb: ImageRGB,
    probability: Map,
    settings: Sequence[CrfParameters],
    *,
    unary_scale: float,
    unary_clip: float,
) -> Iterator[tuple[int, Mask]]:
    """Like `plain_labels` but for round-off, which decides only where a pixel is all but undecided."""
    check_inputs(image_rgb, probability, settings)
    no_crack, crack = crack_energies(probability, unary_scale, unary_clip)
    unary = no_crack - crack
    found = by_kernels(settings)
    gaussians = {sxy_px: _gaussian(unary, image_rgb, sxy_px) for sxy_px in {kernels[0] for kernels in found}}
    for sxy_px, srgb in sorted({kernels[2:4] for kernels in found}):
        bilateral = _bilateral(unary, image_rgb, sxy_px, srgb)
        sharing = sorted(kernels for kernels in found if kernels[2:4] == (sxy_px, srgb))
        for pack in _packs(sharing, unary.size):
            parts = _parts(pack, gaussians, bilateral, unary.size)
            for place, label in _mean_fields(unary, parts, [found[kernels] for kernels in pack]):
                yield place, label.reshape(probability.shape)


def _packs(sharing: Sequence[Kernels], pixels: int) -> list[Sequence[Kernels]]:
    """Parts that fit into memory; how many there are does not change the result."""
    parts = min(-(-len(sharing) * pixels // _PACK_FLOATS), len(sharing))
    edges = [len(sharing) * part // parts for part in range(parts + 1)]
    return [sharing[start:end] for start, end in itertools.pairwise(edges)]


class _Kernel(NamedTuple):
    """A filter of one image, and what it makes of s⁰, with which all parameter sets begin."""

    field: DenseCRF2D
    first: Floats


def _gaussian(unary: Floats, image_rgb: ImageRGB, sxy_px: float) -> _Kernel:
    field = DenseCRF2D(image_rgb.shape[1], image_rgb.shape[0], 1)
    add_gaussian(field, sxy_px, _HANDED_OUT)
    return _Kernel(field, _first(field, unary))


def _bilateral(unary: Floats, image_rgb: ImageRGB, sxy_px: float, srgb: float) -> _Kernel:
    field = DenseCRF2D(image_rgb.shape[1], image_rgb.shape[0], 1)
    add_bilateral(field, image_rgb, sxy_px, srgb, _HANDED_OUT)
    return _Kernel(field, _first(field, unary))


def _first(field: DenseCRF2D, unary: Floats) -> Floats:
    return _filtered(field, np.tanh(unary[:, None] / 2), _Memory(unary.size, 1))[:, 0].copy()


class _Memory:
    """What the library reads and writes: three M×N matrices, here seen as N×M."""

    def __init__(self, pixels: int, channels: int) -> None:
        shape = (max(channels, _LEAST_CHANNELS), pixels)
        self.matrices = [eigen.matrixXf(np.zeros(shape, np.float32)) for _ in range(3)]
        self.before, _, self.after = (np.asarray(matrix).T for matrix in self.matrices)


def _filtered(field: DenseCRF2D, state: Floats, memory: _Memory) -> Floats:
    """K̂ s of N×M channels, in the first M columns of the memory.

    A step of the library leaves in its third matrix what the last kernel gave, here the only one; the new state that
    it makes of that, over all channels as if they were labels, is not used.
    """
    memory.before[:, : state.shape[1]] = state
    field.stepInference(*memory.matrices)
    return memory.after


class _Part(NamedTuple):
    """A filter and the channels of a pack that it serves."""

    kernel: _Kernel
    columns: slice
    compats: Floats
    memory: _Memory

    def messages(self, state: Floats | None) -> Floats:
        """K̂ s; without a state, K̂ s⁰."""
        if state is None:
            return np.repeat(self.kernel.first[:, None], self.compats.size, axis=1)
        return _filtered(self.kernel.field, state[:, self.columns], self.memory)


def _parts(pack: Sequence[Kernels], gaussians: Mapping[float, _Kernel], bilateral: _Kernel, pixels: int) -> list[_Part]:
    """The bilateral filter serves all channels, a Gaussian one those next to each other that share its width."""
    compats = np.array(pack, np.float32)[:, [1, 4]]
    parts = [_Part(bilateral, slice(0, len(pack)), compats[:, 1].copy(), _Memory(pixels, len(pack)))]
    start = 0
    for sxy_px, members in itertools.groupby(pack, key=lambda kernels: kernels[0]):
        columns = slice(start, start := start + len(list(members)))
        memory = _Memory(pixels, columns.stop - columns.start)
        parts.append(_Part(gaussians[sxy_px], columns, compats[columns, 0].copy(), memory))
    return parts


def _mean_fields(
    unary: Floats, parts: Sequence[_Part], stops: Sequence[Stops]
) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    """(Place in the settings, N labels) of the sets of a pack; a tie is no crack."""
    logits = np.repeat(unary[:, None], len(stops), axis=1)
    for iteration in range(max(max(stop) for stop in stops) + 1):
        if iteration:
            state = np.tanh(logits / 2) if iteration > 1 else None
            logits[:] = unary[:, None]
            for part in parts:
                _add(logits, part.columns.start, part.messages(state), part.compats)
        for channel, stop in enumerate(stops):
            for place in stop.get(iteration, ()):
                yield place, logits[:, channel] > 0


@compiled
def _add(logits: Floats, start: int, messages: Floats, compats: Floats) -> None:
    for pixel in range(len(logits)):
        for channel in range(compats.size):
            logits[pixel, start + channel] += compats[channel] * messages[pixel, channel]
