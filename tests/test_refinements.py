"""Refinement of predictions, from settings to maps."""

from pathlib import Path

import numpy as np

from pipeline.knobs import RefinementsKnobs
from pipeline.predictions_to_refinements import refined
from tests.conftest import Luigi, ran

NUMBERS = {
    "guide": "image",
    "guided_threshold": 0.31,
    "guided_radius_px": 5,
    "guided_eps": 1e-6,
    "unary_scale": 1.0,
    "unary_clip": 0.05,
    "gaussian_sxy_px": 3.0,
    "gaussian_compat": 3.0,
    "bilateral_sxy_px": 80.0,
    "bilateral_srgb": 13.0,
    "bilateral_compat": 10.0,
    "iterations": 5,
}


def street() -> tuple[np.ndarray, np.ndarray]:
    """A dark bar of 6 px in a bright street, and a blurred prediction, 10 px wide where it exceeds 0.31."""
    image = np.full((40, 60, 3), 200, np.uint8)
    image[:, 30:36] = 20
    across = np.clip(1.2 - np.abs(np.arange(60) - 32.5) / 5.5, 0, 1)
    return image, np.tile(across, (40, 1)).astype(np.float32)


def test_the_crf_snaps_a_blurred_prediction_to_the_edges_of_the_image() -> None:
    image, blurred = street()
    sharp = refined(image, blurred, RefinementsKnobs(method="crf", **NUMBERS))  # type: ignore[arg-type]
    assert np.array_equal(sharp, np.where(image[..., 0] < 100, 255, 0))


def test_the_guided_filter_raises_what_lies_within_the_edges_of_its_guide() -> None:
    image, blurred = street()
    dark = image[..., 0] < 100
    beside = (blurred > 0.31) & ~dark

    def step(guide: str) -> int:
        knobs = RefinementsKnobs(method="guided", **{**NUMBERS, "guide": guide})  # type: ignore[arg-type]
        sharp = refined(image, blurred, knobs).astype(int)
        return int(sharp[dark].min() - sharp[beside].max())

    assert step("image") > step("prediction") > 0


def test_without_a_method_the_prediction_is_only_rounded() -> None:
    image, blurred = street()
    plain = refined(image, blurred, RefinementsKnobs(method="none", **NUMBERS))  # type: ignore[arg-type]
    assert np.array_equal(plain, np.rint(blurred * 255).astype(np.uint8))


def test_refined_predictions_are_scored_in_their_place(tiny: Path, luigi_run: Luigi) -> None:
    done = luigi_run(
        "Scores", "--dataset", "tiny", "--segmenter", "unet", "--labels", "full", "--Refinements-method", "crf"
    )
    assert done.returncode == 0, done.stderr
    assert ran(done)[-3:] == ["Predictions", "Refinements", "Scores"]
    maps = list((tiny / "outputs" / "refinements").glob("*/*.png"))
    assert len(maps) > 0
