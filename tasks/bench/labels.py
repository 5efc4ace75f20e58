"""`make bench`, second part: images → pseudo labels per CPU second, in both precisions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import models
from pipeline.knobs import (
    CamsKnobs,
    ClassifierKnobs,
    DemoPhotosKnobs,
    MergeWeightsKnobs,
    PatchesKnobs,
    PatchMapsKnobs,
    Precision,
    PredictionsKnobs,
    PseudoLabelsKnobs,
    SegmenterKnobs,
    ThresholdMapsKnobs,
)
from pipeline.ops.types import Grey, ImageRGB, Mask
from tasks.core.settings import Experiment
from tasks.merge_weights import source_of
from tasks.segmenter import options_of

if TYPE_CHECKING:
    import torch

    from models.networks.classifier import Classifier as Network

SIZE_HW = (384, 544)  # the size at which the paper's data sets and others' speeds are compared
PASSES = 24  # training steps before anything is measured: a network of noise would label noise
PRECISIONS: tuple[Precision, Precision] = ("float32", "bfloat16")


def report(experiment: Experiment, arch: str, photos: int, device: torch.device) -> Iterator[str]:
    """Lines of text: the rate and the shares of the stages in float32 and bfloat16, and how far the labels agree."""
    from pipeline.reports.scores_to_tables import rate
    from pipeline.speed import labels as bench

    kinds = (PatchMapsKnobs, CamsKnobs, ThresholdMapsKnobs, PseudoLabelsKnobs)
    knobs, (images, masks) = bench.LabelKnobs(*map(experiment.resolve, kinds)), demo_images(experiment, photos)
    model = briefly_trained(experiment, arch, images, masks, device)
    height, width = SIZE_HW
    yield f"pseudo labels, {arch}, {photos} images of {width}×{height}, one thread"
    yield f"{'':<10} {'images per CPU second':>22}  shares of the stages"
    found: list[list[Grey]] = []
    for precision in PRECISIONS:
        bench.cpu_seconds_of_labels(model, images[:1], knobs.at(precision), device=device)
        spent, labels = bench.cpu_seconds_of_labels(model, images, knobs.at(precision), device=device)
        parts = ", ".join(f"{stage} {share:.0%}" for stage, share in bench.shares(spent).items())
        yield f"{precision:<10} {rate(len(images), spent.values()):>22.2f}  {parts}"
        found.append(labels)
    agreed = bench.agreement(*found)
    yield f"bfloat16 against float32: {agreed['same_pixels']:.2%} of pixels, mean IoU {agreed['mean_iou']:.3f}"


def answers_report(experiment: Experiment, photos: int, device: torch.device) -> Iterator[str]:
    """The road by answers: the rate of each network that merged labels ask, of all together, and of local evidence."""
    from pipeline.reports.scores_to_tables import rate
    from pipeline.speed.labels import cpu_seconds_of_answers

    images, knobs = demo_images(experiment, photos)[0], experiment.resolve(PredictionsKnobs)
    sources = [source_of(text) for text in experiment.resolve(MergeWeightsKnobs).sources]
    height, width = SIZE_HW
    way = f"recipe {experiment.recipe_name()}" + (f", variant {experiment.variant}" if experiment.variant else "")
    yield f"labels by answers ({way}), images per CPU second, {width}×{height}, one thread"
    spent = []
    for name, scales in [*((source.segmenter, source.scales) for source in sources), ("local_evidence", [])]:
        written = experiment.resolve(SegmenterKnobs)
        options = options_of(name, written.options[name], experiment)
        options = dataclasses.replace(options, **({"encoder": "none"} if hasattr(options, "encoder") else {}))
        model = models.build_segmenter(name, options, pixels=written.pixels).eval()
        at = dataclasses.replace(knobs, scales=scales or knobs.scales)
        spent.append(cpu_seconds_of_answers(model, images, at, device=device))
        words = " ".join([name, *(["at"] if scales else []), *(f"{scale:g}" for scale in scales)])
        yield f"{words:<24} {rate(len(images), spent[-1:]):>6.2f}"
    yield f"{'all that is merged':<24} {rate(len(images), spent[:-1]):>6.2f}"


def threshold_report(experiment: Experiment, photos: int) -> str:
    from pipeline.ops.filters import to_grey
    from pipeline.ops.thresholds import local_multi_otsu, plain_local_multi_otsu
    from pipeline.speed.labels import times_faster

    knobs = experiment.resolve(ThresholdMapsKnobs)
    how = {"window_px": knobs.window_px, "stride_px": knobs.stride_px, "classes": knobs.classes}
    images = [to_grey(image_rgb) for image_rgb in demo_images(experiment, photos)[0]]
    ratio = times_faster(
        lambda grey: local_multi_otsu(grey, **how), lambda grey: plain_local_multi_otsu(grey, **how), images
    )
    return (
        f"local multi-Otsu, {how['window_px']}/{how['stride_px']}: {ratio:.0f} times scikit-image in a loop, one core"
    )


def demo_images(experiment: Experiment, photos: int) -> tuple[list[ImageRGB], list[Mask]]:
    """Generated photos with cracks, and their masks, mirrored or cut to the size of the benchmark."""
    from pipeline.demo.photos import demo_photos
    from pipeline.speed.labels import sized

    wanted = dataclasses.replace(
        experiment.resolve(DemoPhotosKnobs), train_images=photos, val_images=0, test_images=1, uncracked_share=0.0
    )
    made = [photo for photo in demo_photos(wanted) if photo.split == "train"]
    return [sized(photo.image_rgb, SIZE_HW) for photo in made], [sized(photo.mask, SIZE_HW) for photo in made]


def briefly_trained(
    experiment: Experiment, arch: str, images: list[ImageRGB], masks: list[Mask], device: torch.device
) -> Network:
    """The classifier after a few steps on these very images: enough to look at cracks, and no result."""
    from pipeline.dataset_to_patches import index_patches
    from pipeline.patches_to_classifier import train_classifier

    section, patches = experiment.resolve(ClassifierKnobs), experiment.resolve(PatchesKnobs)
    knobs = dataclasses.replace(section, epochs=1, samples_per_epoch=PASSES * section.batch_size)
    model = models.build_classifier(arch, head=knobs.head, weights="none", pixels=knobs.pixels)
    index = index_patches([(mask.shape, mask, None) for mask in masks], patches, eightfold=True)
    for _ in train_classifier(model, images, index, knobs, patch_px=patches.patch_px, device=device, resume=None):
        pass
    return model.eval()
