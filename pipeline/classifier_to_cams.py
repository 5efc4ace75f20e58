"""Classifier, image → GradCAM++ of the class "crack": which regions speak for a crack."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.networks.classifier import Classifier
from pipeline.knobs import CamsKnobs, Precision
from pipeline.learning.training import autocast, evaluating, laid_out, place, to_batch
from pipeline.ops.coarse_maps import normalise_by_maximum, upsample_lanczos
from pipeline.ops.types import ImageRGB, Map
from pipeline.ops.windows import pad_to_multiple

CRACK = 1
CELL_PX = 32  # pixels of the image to one of the features
EPSILON = 1e-6  # the grad-cam package's; absolute, so the map depends on the scale of the logit, as there


class CamMaker:
    """One for each model, not one for each image: the package's hooks would pile up."""

    def __init__(self, model: Classifier, knobs: CamsKnobs, *, device: torch.device) -> None:
        place(model, device, knobs.precision)
        self.model = model.eval()
        self.knobs = knobs
        self.device = device
        self._package = package_cam(model) if knobs.method == "package" else None

    def __call__(self, image_rgb: ImageRGB) -> npt.NDArray[np.float32]:
        """The map at the features' resolution, divided by its maximum; without evidence all zero.

        With `tile_px` each tile is mapped, and divided by its maximum, by itself: on a large image the whole map
        would lock on to the few most telling spots.
        """
        if not self.knobs.tile_px:
            return normalise_by_maximum(self.unscaled(image_rgb))
        return self._tiled(pad_to_multiple(image_rgb, CELL_PX))

    def _tiled(self, padded: ImageRGB) -> npt.NDArray[np.float32]:
        """One map from tiles; where the last tile of a row or column overlaps its neighbour, the later one counts."""
        stitched = np.zeros([side // CELL_PX for side in padded.shape[:2]], np.float32)
        for top in tile_starts(padded.shape[0], self.knobs.tile_px):
            for left in tile_starts(padded.shape[1], self.knobs.tile_px):
                tile = padded[top : top + self.knobs.tile_px, left : left + self.knobs.tile_px]
                found = normalise_by_maximum(self.unscaled(np.ascontiguousarray(tile)))
                row, col = top // CELL_PX, left // CELL_PX
                stitched[row : row + found.shape[0], col : col + found.shape[1]] = found
        return stitched

    def unscaled(self, image_rgb: ImageRGB) -> npt.NDArray[np.float32]:
        """GradCAM++ of the image mirrored to a multiple of 32 px, ≥ 0."""
        padded = pad_to_multiple(image_rgb, CELL_PX)
        batch = laid_out(to_batch(padded[np.newaxis], self.device), self.knobs.precision)
        if self._package is not None:
            return unscaled_by_package(self._package, batch, self.knobs.precision)
        with evaluating(self.model, self.device, self.knobs.precision):
            features = self.model.features(batch).float()
        return gradcam_plus_plus(features, gradient_of_logit(self.model, features))


def tile_starts(length_px: int, tile_px: int) -> list[int]:
    """Starts of tiles that cover a side; the last one ends at the border, so that no tile is a mere sliver."""
    starts = list(range(0, max(length_px - tile_px, 0) + 1, tile_px))
    return starts if starts[-1] + tile_px >= length_px else [*starts, length_px - tile_px]


def cam(model: Classifier, image_rgb: ImageRGB, knobs: CamsKnobs, *, device: torch.device) -> npt.NDArray[np.float32]:
    """The CAM of a single image; for many, keep a `CamMaker`."""
    return CamMaker(model, knobs, device=device)(image_rgb)


def gradient_of_logit(model: Classifier, features: Tensor) -> Tensor:
    """∂ crack logit / ∂ features: through the head only, the trunk need not be run backwards."""
    leaf = features.detach().requires_grad_()
    logit = model.head(leaf)[0, CRACK]
    return torch.autograd.grad(logit, leaf)[0]


def gradcam_plus_plus(features: Tensor, gradient: Tensor) -> npt.NDArray[np.float32]:
    """ReLU(Σ_k w_k A^k), w_k = Σ_ij α_ij ReLU(g_ij), α = g² / (2 g² + g³ Σ_ij A^k + ε).

    Features A ≥ 0 and gradient g are 1×C×h×w. Only g > 0 counts; there the denominator is positive: no NaN.
    """
    total = features.sum(dim=(2, 3), keepdim=True)
    share = gradient**2 / (2 * gradient**2 + gradient**3 * total + EPSILON)
    weights = torch.where(gradient > 0, share * gradient, 0).sum(dim=(2, 3), keepdim=True)
    evidence: npt.NDArray[np.float32] = (weights * features).sum(dim=(0, 1)).relu().cpu().numpy()
    return evidence


def package_cam(model: Classifier) -> Any:
    from pytorch_grad_cam import GradCAMPlusPlus  # needed by one of the two methods only, and slow to import

    return GradCAMPlusPlus(model, [model.trunk])


def unscaled_by_package(package: Any, batch: Tensor, precision: Precision) -> npt.NDArray[np.float32]:
    """The package's forward pass without its two min-max rescalings, which stretch any map to 0 … 1."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    recorder = package.activations_and_grads
    package.model.zero_grad()
    with autocast(batch.device, precision):
        logits = recorder(batch)
    ClassifierOutputTarget(CRACK)(logits[0]).backward()
    features, gradient = (kept[0].float().numpy() for kept in (recorder.activations, recorder.gradients))
    raw = package.get_cam_image(batch, package.target_layers[0], None, features, gradient)
    evidence: npt.NDArray[np.float32] = np.maximum(raw[0], 0).astype(np.float32)
    return evidence


def cam_to_image(cam: npt.NDArray[np.float32], shape_hw: tuple[int, int]) -> Map:
    """The CAM as a map of the image: each value over its 32 px, the padding cut off."""
    rows, cols = cam.shape
    height, width = shape_hw
    return upsample_lanczos(cam, (rows * CELL_PX, cols * CELL_PX))[:height, :width]
