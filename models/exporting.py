"""A segmenter as ONNX: normalisation inside, probabilities out, for photos of any size not smaller than its grid.

Mirroring up to a multiple of the network's grid is written as a choice of rows and columns, so that the size may change
from photo to photo.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.parts.wrapper import PaddedSegmenter

OPSET = 17
IMAGE, PROBABILITY = "image", "probability"
_ABSENT = "ONNX is written with the extra: pip install 'hairline[onnx]'"


class AnySize(nn.Module):
    """N×3×H×W, RGB in [0, 1] → N×1×H×W, the probability of crack; H and W at least the network's grid."""

    def __init__(self, segmenter: PaddedSegmenter) -> None:
        super().__init__()
        self.network, self.normalise = segmenter.network, segmenter.normalise
        self.divisor = segmenter.size_divisor

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2], image.shape[-1]
        grown = self.normalise(image)
        grown = grown.index_select(2, self._mirrored(image, 2)).index_select(3, self._mirrored(image, 3))
        logits: Tensor = self.network(grown)[0]
        return logits[..., :height, :width].float().sigmoid()

    def _mirrored(self, image: Tensor, axis: int) -> Tensor:
        """0, 1, … n − 1, n − 2, …: as many as the next multiple of the grid."""
        size = torch._shape_as_tensor(image)[axis]
        grown = torch.div(size + self.divisor - 1, self.divisor, rounding_mode="floor") * self.divisor
        index = torch.arange(grown)  # type: ignore[call-overload]
        places: Tensor = torch.minimum(index, 2 * (size - 1) - index)
        return places


def to_onnx(segmenter: PaddedSegmenter, metadata: Mapping[str, str], *, tile_px: int) -> bytes:
    """One file; raises a ValueError where the extra is not installed, or the network cannot be written."""
    try:
        import onnx
    except ImportError:
        raise ValueError(_ABSENT) from None
    stream = io.BytesIO()
    sizes = {0: "photos", 2: "height", 3: "width"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of traced sizes, which are meant, and of the exporter's own age
        try:
            torch.onnx.export(
                AnySize(segmenter).eval(),
                (torch.rand(1, 3, tile_px, tile_px),),
                stream,  # type: ignore[arg-type] # what its annotation does not know, and its exporter does
                input_names=[IMAGE],
                output_names=[PROBABILITY],
                dynamic_axes={IMAGE: sizes, PROBABILITY: sizes},
                opset_version=OPSET,
                dynamo=False,
            )
        except (RuntimeError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
            first = str(error).splitlines()[0]
            raise ValueError(f"the network cannot be written as ONNX for photos of any size: {first}") from error
    model = onnx.load_from_string(stream.getvalue())
    for name, text in metadata.items():
        model.metadata_props.add(key=name, value=text)
    onnx.checker.check_model(model)
    written: bytes = model.SerializeToString()
    return written


def deepness_metadata(mm_per_px: float, tile_px: int, overlap_percent: int, threshold: float) -> dict[str, str]:
    """What the QGIS plugin Deepness reads, each value as JSON; one channel is a crack where it is above the
    threshold. 0 mm per pixel: unknown, and the plugin keeps what its user says."""
    told: dict[str, object] = {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": "crack"},
        "tiles_size": tile_px,
        "tiles_overlap": overlap_percent,
        "seg_thresh": threshold,
    }
    known = {"resolution": mm_per_px / 10} if mm_per_px else {}  # cm
    return {name: json.dumps(value) for name, value in {**told, **known}.items()}
