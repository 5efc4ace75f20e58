"""Images in a mapped file: the same as in memory, without the memory, and decoded once for all trainings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.knobs import ExecutionKnobs
from tasks.core import pixel_store
from tasks.core.cache import Entry
from tasks.core.pixel_file import Chosen, Pixels
from tasks.core.settings import Experiment
from tasks.core.workers import Place
from tests.conftest import ROOT

ONE = replace(
    Experiment("", "paper").resolve(ExecutionKnobs), device="cpu", threads=1, processes=1, time_limit_s=0, decoded_mb=1
)


def picture(index: int) -> np.ndarray:
    """Sizes that fit no page, colour and grey."""
    shape = (3 + index, 5 + 7 * index, 3) if index % 2 else (90 + index, 61)
    return np.random.default_rng(index).integers(0, 256, shape, dtype=np.uint8)


@dataclass(frozen=True)
class Draw:
    """The job of making pictures; it notes each on a line of a file."""

    notes: Path

    def shape(self, index: int) -> tuple[int, ...]:
        return picture(index).shape

    def open(self, place: Place) -> Callable[[int], np.ndarray]:
        return self.draw

    def draw(self, index: int) -> np.ndarray:
        with self.notes.open("a") as stream:
            stream.write(f"{index}\n")
        return picture(index)


class Greedy(Draw):
    def draw(self, index: int) -> np.ndarray:
        return np.zeros(picture(index).shape)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAIRLINE_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path


def quiet(done: int, total: int) -> None:
    """No progress."""


def pixels(
    place: Path, count: int = 3, *, of: str = "tiny-0123456789ab", kind: type[Draw] = Draw, **knobs: int
) -> AbstractContextManager[Pixels]:
    entry = Entry(place / "outputs" / "dataset" / of, "")
    execution = replace(ONE, **knobs)  # type: ignore[arg-type]
    return pixel_store.decoded(entry, "images-train", kind(place / "notes"), range(count), execution, quiet)


def drawn(place: Path) -> list[str]:
    return (place / "notes").read_text().split()


@pytest.mark.parametrize("processes", [1, 3])
def test_views_are_equal_to_what_was_decoded(place: Path, processes: int) -> None:
    with pixels(place, 40, processes=processes) as views:
        assert len(views) == 40
        for index in (39, 0, 7, *range(40)):
            assert np.array_equal(views[index], picture(index))
        assert np.array_equal(views[-1], picture(39))
        assert [view.shape for view in views[2:5]] == [picture(index).shape for index in (2, 3, 4)]


def test_every_image_is_decoded_once_for_all_trainings(place: Path) -> None:
    for _ in range(3):
        with pixels(place) as views:
            assert all(np.array_equal(views[index], picture(index)) for index in range(3))
    assert sorted(drawn(place)) == ["0", "1", "2"]


def test_a_flipped_bit_or_a_cut_file_is_noticed_and_decoded_anew(place: Path) -> None:
    with pixels(place):
        (path,) = pixel_store.kept()
    content = bytearray(path.read_bytes())
    content[7] ^= 1
    for damaged in (bytes(content), bytes(content[:-1])):
        path.write_bytes(damaged)
        with pixels(place) as views:
            assert np.array_equal(views[0], picture(0))
    assert len(drawn(place)) == 9


def test_what_was_unused_longest_makes_room_for_the_new(place: Path) -> None:
    names = [f"tiny-{letter * 12}" for letter in "abc"]
    for number, name in enumerate(names):  # each has a little over 0.4 MB, and 1 MB is allowed
        with pixels(place, 42, of=name):
            os.utime(next(path for path in pixel_store.kept() if name in path.name), (number, number))
    with pixels(place, 42, of=names[1]):
        assert [name for name in names if any(name in path.name for path in pixel_store.kept())] == names[1:]


def test_what_is_larger_than_all_that_may_be_kept_is_gone_afterwards_and_drives_nothing_out(place: Path) -> None:
    with pixels(place):
        before = pixel_store.kept()
    with pixels(place, 80, of="tiny-bbbbbbbbbbbb") as views:
        assert np.array_equal(views[79], picture(79))
    assert pixel_store.kept() == before
    with pixels(place, of="tiny-cccccccccccc", decoded_mb=0) as views:
        assert np.array_equal(views[1], picture(1))
    assert pixel_store.kept() == before


def test_an_error_leaves_nothing_behind(place: Path) -> None:
    with pytest.raises(TypeError, match="an image of float64"), pixels(place, kind=Greedy):
        pass
    assert pixel_store.kept() == []
    assert not [path for path in pixel_store.folder().iterdir() if not path.name.startswith(".lock")]


def test_nobody_can_write_into_the_images(place: Path) -> None:
    with pixels(place, 1) as views, pytest.raises(ValueError, match="read-only"):
        views[0][0] = 1


def test_no_images_are_an_empty_sequence(place: Path) -> None:
    with pixels(place, 0) as views:
        assert list(views) == []


def test_images_can_be_chosen_from_several_files_in_any_order(place: Path) -> None:
    with pixels(place) as first, pixels(place, 5, of="tiny-bbbbbbbbbbbb") as second:
        chosen = Chosen([first, second], [(1, 4), (0, 0), (1, 4)])
        assert [view.shape for view in chosen[:]] == [picture(index).shape for index in (4, 0, 4)]
        assert np.array_equal(chosen[1], picture(0))
        assert len(chosen) == 3


MEMORY = """
import resource, sys, pathlib, numpy as np
from dataclasses import dataclass, replace
from pipeline.knobs import ExecutionKnobs
from tasks.core.settings import Experiment
from tasks.core.cache import Entry
from tasks.core.pixel_store import decoded

@dataclass
class Grey:
    def shape(self, index):
        return 1000, 1000
    def open(self, place):
        return lambda index: np.full((1000, 1000), index % 256, np.uint8)

count = int(sys.argv[1])
knobs = replace(Experiment("", "paper").resolve(ExecutionKnobs), processes=1, decoded_mb=900)
with decoded(Entry(pathlib.Path("x"), ""), "a", Grey(), range(count), knobs, print) as views:
    assert sum(int(view.max()) for view in views) == sum(index % 256 for index in range(count))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_peak_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    few, many = (
        int(
            subprocess.run(
                [sys.executable, "-c", MEMORY, count],
                cwd=ROOT,
                env={**os.environ, "HAIRLINE_OUTPUTS": str(tmp_path)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()[-1]
        )
        for count in ("4", "200")
    )
    assert many < few + 20  # of 200 MB
