"""`make bench`, second part: images → pseudo labels per CPU second, in both precisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import models
from tasks.core import settings

if TYPE_CHECKING:
    import torch

    from pipeline.speed.labels import LabelKnobs

SIZE_HW = (384, 544)  # the size at which the paper's data sets and others' speeds are compared
PASSES = 24  # training steps before anything is measured: a network of noise would label noise


def report(dataset: str, recipe: str, arch: str, photos: int, device: torch.device) -> Iterator[str]:
    """Lines of text: the rate and the shares of the stages in float32 and bfloat16, and how far the labels agree."""
    from pipeline.reports.scores_to_tables import rate
    from pipeline.speed import labels as bench

    knobs, (images, masks) = label_knobs(dataset, recipe), demo_images(dataset, recipe, photos)
    model = briefly_trained(dataset, recipe, arch, images, masks, device)
    height, width = SIZE_HW
    yield f"pseudo labels, {arch}, {photos} images of {width}×{height}, one thread"
    yield f"{'':<10} {'images per CPU second':>22}  shares of the stages"
    found = {}
    for precision in ("float32", "bfloat16"):
        bench.cpu_seconds_of_labels(model, images[:1], knobs.at(precision), device=device)
        spent, found[precision] = bench.cpu_seconds_of_labels(model, images, knobs.at(precision), device=device)
        parts = ", ".join(f"{stage} {share:.0%}" for stage, share in bench.shares(spent).items())
        yield f"{precision:<10} {rate(len(images), spent.values()):>22.2f}  {parts}"
    agreed = bench.agreement(found["float32"], found["bfloat16"])
    yield f"bfloat16 against float32: {agreed['same_pixels']:.2%} of pixels, mean IoU {agreed['mean_iou']:.3f}"


def threshold_report(dataset: str, recipe: str, photos: int) -> str:
    from pipeline.ops.smoothing import to_grey
    from pipeline.ops.thresholds import local_multi_otsu
    from pipeline.ops.thresholds_plain import plain_local_multi_otsu
    from pipeline.speed.labels import times_faster

    knobs = settings.resolve("ThresholdMaps", dataset, recipe, "", {})
    how = {"window_px": knobs.window_px, "stride_px": knobs.stride_px, "classes": knobs.classes}
    images = [to_grey(image_rgb) for image_rgb in demo_images(dataset, recipe, photos)[0]]
    ratio = times_faster(
        lambda grey: local_multi_otsu(grey, **how), lambda grey: plain_local_multi_otsu(grey, **how), images
    )
    return (
        f"local multi-Otsu, {how['window_px']}/{how['stride_px']}: {ratio:.0f} times scikit-image in a loop, one core"
    )


def label_knobs(dataset: str, recipe: str) -> LabelKnobs:
    from pipeline.speed.labels import LabelKnobs

    sections = ("PatchMaps", "Cams", "ThresholdMaps", "PseudoLabels")
    return LabelKnobs(*(settings.resolve(name, dataset, recipe, "", {}) for name in sections))


def demo_images(dataset: str, recipe: str, photos: int) -> tuple[list[Any], list[Any]]:
    """Generated photos with cracks, and their masks, mirrored or cut to the size of the benchmark."""
    from pipeline.demo.photos import demo_photos
    from pipeline.speed.labels import sized

    wanted = settings.resolve("DemoPhotos", dataset, recipe, "", {})
    counts = {"train_images": photos, "val_images": 0, "test_images": 1, "uncracked_share": 0.0}
    made = [photo for photo in demo_photos(dataclasses.replace(wanted, **counts)) if photo.split == "train"]
    return [sized(photo.image_rgb, SIZE_HW) for photo in made], [sized(photo.mask, SIZE_HW) for photo in made]


def briefly_trained(
    dataset: str, recipe: str, arch: str, images: list[Any], masks: list[Any], device: torch.device
) -> Any:
    """The classifier after a few steps on these very images: enough to look at cracks, and no result."""
    from pipeline.dataset_to_patches import index_patches
    from pipeline.patches_to_classifier import train_classifier

    section = settings.resolve("Classifier", dataset, recipe, "", {})
    knobs = dataclasses.replace(section, epochs=1, samples_per_epoch=PASSES * section.batch_size)
    patches = settings.resolve("Patches", dataset, recipe, "", {})
    model = models.build_classifier(arch, head=knobs.head, weights="none", pixels=knobs.pixels)
    index = index_patches([(mask.shape, mask, None) for mask in masks], patches, eightfold=True)
    for _ in train_classifier(model, images, index, knobs, patch_px=patches.patch_px, device=device, resume=None):
        pass
    return model.eval()
