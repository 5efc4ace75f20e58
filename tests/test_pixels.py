"""Images in a mapped file: the same as in memory, without the memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.core.pixel_file import decoded
from tests.conftest import ROOT


def picture(index: int) -> np.ndarray:
    """Sizes that fit no page, colour and grey."""
    shape = (3 + index, 5 + 7 * index, 3) if index % 2 else (90 + index, 61)
    return np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8)


def quiet(done: int, total: int) -> None:
    """No progress."""


@pytest.mark.parametrize("processes", [1, 3])
def test_views_are_equal_to_what_was_loaded(tmp_path: Path, processes: int) -> None:
    with decoded(tmp_path / "pixels", picture, 40, processes, quiet) as pixels:
        assert len(pixels) == 40
        for index in (39, 0, 7, *range(40)):
            assert np.array_equal(pixels[index], picture(index))
        assert np.array_equal(pixels[-1], picture(39))
        assert [view.shape for view in pixels[2:5]] == [picture(index).shape for index in (2, 3, 4)]


def test_every_image_is_decoded_once_and_counted(tmp_path: Path) -> None:
    calls: list[int] = []
    seen: list[tuple[int, int]] = []

    def load(index: int) -> np.ndarray:
        calls.append(index)
        return picture(index)

    with decoded(tmp_path / "pixels", load, 3, 1, lambda *count: seen.append(count)) as pixels:
        assert [view.shape for view in pixels] == [view.shape for view in pixels]
    assert (calls, seen) == ([0, 1, 2], [(1, 3), (2, 3), (3, 3)])


def test_the_file_is_gone_afterwards_also_after_an_error(tmp_path: Path) -> None:
    with decoded(tmp_path / "pixels", picture, 2, 1, quiet):
        assert [path.name for path in tmp_path.iterdir()] == ["pixels"]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), decoded(tmp_path / "pixels", lambda _: 1 // 0, 2, 1, quiet):  # type: ignore[arg-type, return-value]
        pass
    assert list(tmp_path.iterdir()) == []


def test_nobody_can_write_into_the_images(tmp_path: Path) -> None:
    with decoded(tmp_path / "pixels", picture, 1, 1, quiet) as pixels, pytest.raises(ValueError, match="read-only"):
        pixels[0][0] = 1


def test_no_images_are_an_empty_sequence_and_floats_are_refused(tmp_path: Path) -> None:
    with decoded(tmp_path / "pixels", picture, 0, 1, quiet) as pixels:
        assert list(pixels) == []
    floats = decoded(tmp_path / "pixels", lambda _: np.zeros(3), 1, 1, quiet)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="an image of float64; allowed: uint8"), floats:
        pass


MEMORY = """
import resource, sys, pathlib, numpy as np
from tasks.core.pixel_file import decoded
count = int(sys.argv[1])
load = lambda index: np.full((1000, 1000), index % 256, np.uint8)
with decoded(pathlib.Path(sys.argv[2]) / "pixels", load, count, 1, lambda *_: None) as pixels:
    assert sum(int(view.max()) for view in pixels) == sum(index % 256 for index in range(count))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    few, many = (
        int(
            subprocess.run(
                [sys.executable, "-c", MEMORY, count, str(tmp_path)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for count in ("4", "200")
    )
    assert many < few + 20  # of 200 MB
