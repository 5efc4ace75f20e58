"""`make bench`, on generated photos: does feeding the networks keep up with them? How fast are pseudo labels?"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import models
from pipeline import knobs
from tasks.bench.labels import report, threshold_report
from tasks.core import settings
from tasks.segmenter import chosen

if TYPE_CHECKING:
    import torch

    from pipeline.learning.training import Epoch
    from pipeline.speed.training import Comparison

PHOTOS = 16  # few: they only have to be different sizes


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.bench", description=__doc__)
    parser.add_argument("--dataset", default="demo", help="whose settings count; the photos are always generated")
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--rounds", type=int, default=7, help="how often both loops are timed, in turn")
    parser.add_argument("--steps", type=int, default=4, help="training steps of one timing")
    parser.add_argument("--threads", type=int, default=0, help="on a CPU; 0: as the settings say, 1 on a busy machine")
    parser.add_argument(
        "--segmenters", nargs="*", default=[], help="which are timed; those of the settings if left out"
    )
    parser.add_argument("--arch", default="resnet50", help="the classifier behind the labels that are timed")
    parser.add_argument("--photos", type=int, default=4, help="how many are labelled; 0: only training is timed")
    asked = parser.parse_args()
    device = prepare(asked.dataset, asked.recipe, asked.threads)
    print(f"training speed on {where(device)}, {asked.rounds} rounds of {asked.steps} steps, medians")
    print(f"{'':<34} {'hairline':>10} {'bare loop':>10} {'ratio':>6}")
    for name, comparison in comparisons(
        asked.dataset, asked.recipe, device, asked.rounds, asked.steps, asked.segmenters
    ):
        print(f"{name:<34} {comparison.ours:>8.1f}/s {comparison.bare:>8.1f}/s {comparison.ratio:>6.2f}", flush=True)
    if asked.photos:
        print("\n" + threshold_report(asked.dataset, asked.recipe, asked.photos), flush=True)
        device = prepare(asked.dataset, asked.recipe, threads=1)
        for line in report(asked.dataset, asked.recipe, asked.arch, asked.photos, device):
            print(line, flush=True)


def prepare(dataset: str, recipe: str, threads: int) -> torch.device:
    """The device of the settings, with their threads where none are given."""
    import cv2
    import torch

    execution = settings.resolve("Execution", dataset, recipe, "", {})
    cv2.setNumThreads(1)
    torch.set_num_threads(threads or execution.threads)
    gpu = execution.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")


def where(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name())
    return f"the CPU with {torch.get_num_threads()} threads"


def comparisons(
    dataset: str, recipe: str, device: torch.device, rounds: int, steps: int, segmenters: list[str]
) -> Iterator[tuple[str, Comparison]]:
    """The patch classifier, then the segmenters: those of the settings where none are named."""
    from pipeline.demo.photos import demo_photos

    def section(name: str) -> Any:
        return settings.resolve(name, dataset, recipe, "", {})

    kinds = {"train_images": PHOTOS, "val_images": 0, "test_images": 1}
    wanted = dataclasses.replace(section("DemoPhotos"), **kinds)
    photos = [photo for photo in demo_photos(wanted) if photo.split == "train"]
    images, masks = [photo.image_rgb for photo in photos], [photo.mask for photo in photos]
    tables, limits = section("Tables"), {"epochs": rounds + 1}
    nets: list[tuple[str, Any, Any]] = [(tables.classifiers[0], section("Classifier"), _classifier)]
    named = chosen(segmenters or tables.segmenters, "segmenters")
    nets += [(name, section("Segmenter").of(name), _segmenter) for name in named]
    for name, kind, compared in nets:
        training = dataclasses.replace(kind, **limits, samples_per_epoch=steps * kind.batch_size)
        size, comparison = compared(name, images, masks, training, section("Patches"), device, rounds, steps)
        yield f"{name}, {kind.batch_size} × {size} px, {kind.precision}", comparison


def _classifier(
    arch: str,
    images: list[Any],
    masks: list[Any],
    training: knobs.ClassifierKnobs,
    patches: knobs.PatchesKnobs,
    device: torch.device,
    rounds: int,
    steps: int,
) -> tuple[int, Comparison]:
    import torch

    from pipeline.dataset_to_patches import index_patches
    from pipeline.patches_to_classifier import cross_entropy, train_classifier
    from pipeline.speed.training import bare_speeds, compare

    def build() -> Any:
        return models.build_classifier(arch, head=training.head, weights="none", pixels=training.pixels)

    index = index_patches([(mask.shape, mask, None) for mask in masks], patches, eightfold=True)
    epochs = train_classifier(build(), images, index, training, patch_px=patches.patch_px, device=device, resume=None)
    batch = torch.rand(training.batch_size, 3, patches.patch_px, patches.patch_px, device=device)
    targets = torch.tensor(np.resize([0, 1], training.batch_size), device=device)
    bare = bare_speeds(build(), batch, targets, cross_entropy, training, steps=steps)
    return patches.patch_px, compare(_speeds(epochs), bare, rounds)


def _segmenter(
    name: str,
    images: list[Any],
    masks: list[Any],
    training: knobs.SegmenterKnobs,
    _: knobs.PatchesKnobs,
    device: torch.device,
    rounds: int,
    steps: int,
) -> tuple[int, Comparison]:
    import torch

    from pipeline.labels_to_segmenter import loss_of, train_segmenter
    from pipeline.speed.training import bare_speeds, compare

    sides = list(training.sides[name].get("weights", []))

    def build() -> Any:
        return models.build_segmenter(name, pixels=training.pixels, **training.options[name])

    if models.takes_edges(training.options[name]):
        images = [
            np.dstack([image, mask.astype(np.uint8) * np.uint8(255)]) for image, mask in zip(images, masks, strict=True)
        ]
    labels = [mask.astype(np.uint8) * np.uint8(255) for mask in masks]
    epochs = train_segmenter(build(), images, labels, training, sides=sides, device=device, resume=None)
    channels = images[0].shape[2]
    batch = torch.rand(training.batch_size, channels, training.crop_px, training.crop_px, device=device)
    targets = (batch[:, :1] * 255).to(torch.uint8)
    bare = bare_speeds(build(), batch, targets, loss_of(training, sides)(1), training, steps=steps)
    return training.crop_px, compare(_speeds(epochs), bare, rounds)


def _speeds(epochs: Iterator[Epoch]) -> Iterator[float]:
    for epoch in epochs:
        yield epoch.log["samples_per_second"]


if __name__ == "__main__":
    main()
