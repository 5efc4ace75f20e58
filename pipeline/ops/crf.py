"""A dense conditional random field: snaps a coarse crack map to the colours of its image.

One parameter set (`dense_crf`), many one after the other (`plain_labels`), or many side by side (`packed_labels`).
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from pydensecrf import eigen
from pydensecrf.densecrf import DenseCRF2D

from pipeline.ops.counts import compiled
from pipeline.ops.types import ImageRGB, Map, Mask

Floats: TypeAlias = npt.NDArray[np.float32]

_PACK_FLOATS = 2**24  # in each of about nine matrices: 64 MB at most, 25 MB with 27 sets and 640×360 pixels
_HANDED_OUT = -1.0  # the library subtracts compat · K̂ s; this way it hands out K̂ s itself
_LEAST_CHANNELS = 3  # one or two take another way through the library, which rounds differently


class CrfParameters(NamedTuple):
    """What a search varies; the unary stays the same."""

    gaussian_sxy_px: float
    gaussian_compat: float
    bilateral_sxy_px: float
    bilateral_srgb: float
    bilateral_compat: float
    iterations: int


Kernels: TypeAlias = tuple[float, float, float, float, float]  # the parameters without the iterations
Labeller: TypeAlias = Callable[[ImageRGB, Map, Sequence[CrfParameters]], Iterator[tuple[int, Mask]]]


def dense_crf(
    image_rgb: ImageRGB, probability: Map, parameters: CrfParameters, *, unary_scale: float, unary_clip: float
) -> Mask:
    """Most probable label of each pixel after `iterations` of mean field; with 0 the map alone decides.

    U = −log[1−p, p] with p = clip(unary_scale · probability, unary_clip, 1 − unary_clip). Two Potts kernels
    exp(−½‖Δf‖²): f = (x, y)/gaussian_sxy and f = ((x, y)/bilateral_sxy, rgb/bilateral_srgb), symmetrically
    normalised, weighted by their compat (Krähenbühl and Koltun 2011). A tie is no crack.
    """
    labels = plain_labels(image_rgb, probability, [parameters], unary_scale=unary_scale, unary_clip=unary_clip)
    return next(label for _, label in labels)


def plain_labels(
    image_rgb: ImageRGB,
    probability: Map,
    settings: Sequence[CrfParameters],
    *,
    unary_scale: float,
    unary_clip: float,
) -> Iterator[tuple[int, Mask]]:
    """`dense_crf` of every parameter set, each as (its place in `settings`, its label), in any order.

    The library runs once for all sets that differ in nothing but their iterations: it is stopped at each number
    of iterations and looked at, which gives bit for bit what separate runs give.
    """
    _check_inputs(image_rgb, probability, settings)
    height, width = probability.shape
    energies = _crack_energies(probability, unary_scale, unary_clip)
    for kernels, stops in _by_kernels(settings).items():
        field = DenseCRF2D(width, height, 2)
        field.setUnaryEnergy(energies)
        gaussian_sxy_px, gaussian_compat, bilateral_sxy_px, bilateral_srgb, bilateral_compat = kernels
        if gaussian_compat:
            _add_kernel(field, image_rgb, gaussian_sxy_px, None, gaussian_compat)
        if bilateral_compat:
            _add_kernel(field, image_rgb, bilateral_sxy_px, bilateral_srgb, bilateral_compat)
        state, *scratch = field.startInference()
        for iteration in range(max(stops) + 1):
            if iteration:
                field.stepInference(state, *scratch)
            for place in stops.get(iteration, []):
                no_crack, crack = np.asarray(state)
                yield place, np.asarray(crack > no_crack).reshape(probability.shape)


def labels_at_scale(
    labeller: Labeller, image_rgb: ImageRGB, probability: Map, settings: Sequence[CrfParameters], scale: float
) -> Iterator[tuple[int, Mask]]:
    """Labels of a photo that is `scale` times as large (averaged down), with kernels to match, stretched back."""
    height, width = probability.shape
    small_wh = max(round(width * scale), 1), max(round(height * scale), 1)
    image_small = cv2.resize(image_rgb, small_wh, interpolation=cv2.INTER_AREA)
    probability_small = cv2.resize(np.asarray(probability, np.float32), small_wh, interpolation=cv2.INTER_AREA)
    smaller = [
        parameters._replace(
            gaussian_sxy_px=parameters.gaussian_sxy_px * scale, bilateral_sxy_px=parameters.bilateral_sxy_px * scale
        )
        for parameters in settings
    ]
    for place, label in labeller(np.asarray(image_small), np.asarray(probability_small), smaller):
        stretched = cv2.resize(label.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        yield place, np.asarray(stretched, np.bool_)


def _by_kernels(settings: Sequence[CrfParameters]) -> dict[Kernels, dict[int, list[int]]]:
    """Kernels → iterations → places in `settings`."""
    found: dict[Kernels, dict[int, list[int]]] = {}
    for place, parameters in enumerate(settings):
        found.setdefault(parameters[:5], {}).setdefault(parameters.iterations, []).append(place)
    return found


def _crack_energies(probability: Map, scale: float, clip: float) -> Floats:
    """2×N energies: no crack, crack."""
    if not 0 < clip < 0.5:
        raise ValueError(f"a clip of {clip:g}; it lies between 0 and 0.5")
    crack = np.clip(probability.astype(np.float64).ravel() * scale, clip, 1 - clip)
    return -np.log(np.stack([1 - crack, crack])).astype(np.float32)


def _check_inputs(image_rgb: ImageRGB, probability: Map, settings: Sequence[CrfParameters]) -> None:
    if image_rgb.dtype != np.uint8 or image_rgb.shape != (*probability.shape, 3):
        raise ValueError(
            f"an image of {image_rgb.dtype}, shape {image_rgb.shape}, and a map of {probability.shape}; "
            "a uint8 H×W×3 image and its H×W map are needed"
        )
    if not np.isfinite(probability).all():
        raise ValueError("a map with values that are not finite; values in [0, 1] are needed")
    fewest = min((parameters.iterations for parameters in settings), default=0)
    if fewest < 0:
        raise ValueError(f"{fewest} iterations; at least 0")


def _add_kernel(field: DenseCRF2D, image_rgb: ImageRGB, sxy_px: float, srgb: float | None, compat: float) -> None:
    """The Gaussian kernel, or with `srgb` the bilateral one."""
    if srgb is None:
        field.addPairwiseGaussian(sxy=sxy_px, compat=compat)
    else:
        image = np.ascontiguousarray(image_rgb)  # the library reads raw memory: only C order will do
        field.addPairwiseBilateral(sxy=sxy_px, srgb=srgb, rgbim=image, compat=compat)


def packed_labels(
    image_rgb: ImageRGB,
    probability: Map,
    settings: Sequence[CrfParameters],
    *,
    unary_scale: float,
    unary_clip: float,
) -> Iterator[tuple[int, Mask]]:
    """Like `plain_labels` but for round-off, which decides only where a pixel is all but undecided.

    Filters are built once and shared, and the parameter sets travel side by side. With two labels, mean field moves
    one number per pixel, s = Q(crack) − Q(no crack):

        s ← tanh(½ (log(p/(1−p)) + Σ compat · K̂ s)),    s⁰ = 2p − 1,    K̂ = D^-½ K D^-½

    since a softmax over two labels is a tanh of their difference and the filter K̂ is linear. So each parameter set is
    one channel instead of two; the compat is no part of the filter, so sets that differ in it share a filter; and the
    library filters all channels in one walk through its lattice.
    """
    _check_inputs(image_rgb, probability, settings)
    no_crack, crack = _crack_energies(probability, unary_scale, unary_clip)
    unary = no_crack - crack
    found = _by_kernels(settings)
    gaussians = {sxy_px: _kernel(unary, image_rgb, sxy_px) for sxy_px in {kernels[0] for kernels in found}}
    for sxy_px, srgb in sorted({kernels[2:4] for kernels in found}):
        bilateral = _kernel(unary, image_rgb, sxy_px, srgb)
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


def _kernel(unary: Floats, image_rgb: ImageRGB, sxy_px: float, srgb: float | None = None) -> _Kernel:
    field = DenseCRF2D(image_rgb.shape[1], image_rgb.shape[0], 1)
    _add_kernel(field, image_rgb, sxy_px, srgb, _HANDED_OUT)
    return _Kernel(field, _filtered(field, np.tanh(unary[:, None] / 2), _Memory(unary.size, 1))[:, 0].copy())


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
    unary: Floats, parts: Sequence[_Part], stops: Sequence[Mapping[int, Sequence[int]]]
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
