"""A segmenter as ONNX: normalisation inside, probabilities out, for photos of any size, or for tiles of one size.

Mirroring up to a multiple of the network's grid is written as a choice of rows and columns, so that the size may change
from photo to photo. One photo at a time: networks ask in Python how many there are, which a trace cannot follow.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.parts.wrapper import PaddedSegmenter, Tiled

OPSET = 17
IMAGE, PROBABILITY = "image", "probability"
_ABSENT = "ONNX export needs the extra: pip install 'hairline[onnx]'"
_TILE_KEYS = ("tile_size", "tiles_size")  # what Deepness 0.6.5 reads, and what its documentation says


class AnySize(nn.Module):
    """1×3×H×W, RGB in [0, 1] → 1×1×H×W, the probability of crack, as `PaddedSegmenter` has it."""

    def __init__(self, segmenter: PaddedSegmenter, network: nn.Module) -> None:
        super().__init__()
        self.network, self.normalise = network, segmenter.normalise
        self.divisor = segmenter.size_divisor

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2], image.shape[-1]
        grown = self.normalise(image)
        grown = grown.index_select(2, self._places(image, 2)).index_select(3, self._places(image, 3))
        logits: Tensor = self.network(grown)[0]
        return logits[..., :height, :width].float().sigmoid()

    def _places(self, image: Tensor, axis: int) -> Tensor:
        """0, 1, … n − 1, n − 2, …: up to the next multiple of the grid; … n − 1, n − 1, … where n is too few."""
        size = torch._shape_as_tensor(image)[axis]
        grown = torch.div(size + self.divisor - 1, self.divisor, rounding_mode="floor") * self.divisor
        index = torch.arange(grown)  # type: ignore[call-overload]
        mirrored = torch.minimum(index, 2 * (size - 1) - index)
        return torch.where(grown - size < size, mirrored, torch.minimum(index, size - 1))


def to_onnx(segmenter: PaddedSegmenter, metadata: Mapping[str, str], *, tile_px: int, any_size: bool = True) -> bytes:
    """One file; raises a ValueError where the extra is not installed, or the network cannot be written.

    Not `any_size`: for tiles of `tile_px` only, which Deepness wants. A network that works in tiles of its own is
    always written for one such tile, and the metadata say so.
    """
    try:
        import onnx
    except ImportError:
        raise ValueError(_ABSENT) from None
    network, size = segmenter.network, (tile_px, tile_px)
    own, free = isinstance(network, Tiled), any_size
    if isinstance(network, Tiled):
        size, network, free = (network.tile_height, network.tile_width), network.network, False
    # Not a square: a network that treats the size of its training as a special case is not to meet it here.
    shown = (tile_px, tile_px + segmenter.size_divisor) if free else size
    model = onnx.load_from_string(_traced(AnySize(segmenter, network), shown, free=free))
    sides: Sequence[int | str] = ("height", "width") if free else size
    for value, channels in ((model.graph.input[0], 3), (model.graph.output[0], 1)):
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, [1, channels, *sides]))
    true_size = dict.fromkeys(_TILE_KEYS, json.dumps(max(size))) if own else {}
    for name, text in metadata.items():
        model.metadata_props.add(key=name, value=true_size.get(name, text))
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def _traced(network: nn.Module, size: tuple[int, int], *, free: bool) -> bytes:
    stream, axes = io.BytesIO(), {2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad(), PlainOperators():
        warnings.simplefilter("ignore")  # of traced sizes, which are meant, and of the exporter's own age
        try:
            torch.onnx.export(
                network.eval(),
                (torch.rand(1, 3, *size),),
                stream,  # type: ignore[arg-type] # what its annotation does not know, and its exporter does
                input_names=[IMAGE],
                output_names=[PROBABILITY],
                dynamic_axes={IMAGE: axes, PROBABILITY: axes} if free else {},
                opset_version=OPSET,
                dynamo=False,
            )
        except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
            first = str(error).splitlines()[0]
            raise ValueError(f"the network cannot be written as ONNX: {first}") from error
    return stream.getvalue()


class PlainOperators(TorchFunctionMode):
    """While it lasts, what ONNX cannot say of any size is computed by what it can."""

    def __torch_function__(
        self,
        func: Callable[..., Tensor],
        _types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Tensor:
        return _PLAIN.get(func, func)(*args, **(kwargs or {}))


def unpool(x: Tensor, places: Tensor, kernel_size: Sequence[int], **_: object) -> Tensor:
    """F.max_unpool2d of windows of 2×2 pixels that cover the image: each value goes back to where it came from."""
    if list(kernel_size) != [2, 2]:
        raise TypeError(f"unpooling of windows of {list(kernel_size)} pixels, where [2, 2] can be written")
    count, channels, height, width = x.shape
    flat = x.new_zeros(count, channels, 4 * height * width)
    return flat.scatter(2, places.flatten(2), x.flatten(2)).reshape(count, channels, 2 * height, 2 * width)


def mean_of_cells(features: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """F.adaptive_avg_pool2d, as a product with the share of every row and column in every cell."""
    rows, columns = (output_size, output_size) if isinstance(output_size, int) else output_size
    mean: Tensor = _shares(features, 2, rows) @ features @ _shares(features, 3, columns).T
    return mean


def _shares(features: Tensor, axis: int, cells: int) -> Tensor:
    """Cells × pixels: cell i holds the pixels from ⌊i n / cells⌋ to below ⌈(i + 1) n / cells⌉, in equal shares."""
    size = torch._shape_as_tensor(features)[axis]
    cell = torch.arange(cells)[:, None]
    first = torch.div(cell * size, cells, rounding_mode="floor")
    behind = torch.div((cell + 1) * size + cells - 1, cells, rounding_mode="floor")
    pixel = torch.arange(size)  # type: ignore[call-overload]
    inside: Tensor = (pixel >= first) & (pixel < behind)
    return inside.float() / (behind - first).float()


def normalised(x: Tensor, mean: Tensor | None, *rest: object, eps: float = 1e-5, **named: object) -> Tensor:
    """F.batch_norm; without means of its own, of one image by that image alone."""
    if mean is not None:
        plain: Callable[..., Tensor] = F.batch_norm
        return plain(x, mean, *rest, eps=eps, **named)
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    variance: Tensor = centred.square().mean(dim=(2, 3), keepdim=True)
    return centred * (variance + eps).rsqrt()


_PLAIN: dict[Callable[..., Tensor], Callable[..., Tensor]] = {
    F.max_unpool2d: unpool,
    F.adaptive_avg_pool2d: mean_of_cells,
    F.batch_norm: normalised,
}


def deepness_metadata(mm_per_px: float, tile_px: int, overlap_percent: int, threshold: float) -> dict[str, str]:
    """What the QGIS plugin Deepness 0.6.5 reads, each value as JSON.

    Of one channel it takes for a crack what is not below the threshold; of two it would take the larger one, whatever
    the threshold. Left alone it smooths by a median of 9 pixels, which no hairline crack survives: 0 turns that off.
    0 mm per pixel: unknown, and the plugin keeps what its user says.
    """
    told: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": "crack"},
        **dict.fromkeys(_TILE_KEYS, tile_px),
        "tiles_overlap": overlap_percent,
        "seg_thresh": threshold,
        "seg_small_segment": 0,
    }
    known = {"resolution": mm_per_px / 10} if mm_per_px else {}  # cm
    return {name: json.dumps(value) for name, value in {**told, **known}.items()}
