"""Workers: who computes decides nothing. The same bytes come from here, from processes, from GPUs and from Dask."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pytest

from pipeline.knobs import ThresholdMapsKnobs
from tasks import Dataset, DemoPhotos
from tasks.core import devices
from tasks.core.engines.dask import Dask
from tasks.core.engines.gpus import Gpus
from tasks.core.engines.versions import refuse_others, versions
from tasks.core.errors import StageError
from tasks.core.workers import Here, Place, Processes, Workers, chunk_size
from tasks.image_stage import Written, WrittenJob
from tasks.threshold_maps import ThresholdJob
from tests.conftest import made, resolved

SLOW_IMPORTS = "ignore::DeprecationWarning"


@dataclass(frozen=True)
class Where:
    """The job of telling where it runs, and what it was given."""

    def open(self, place: Place) -> Callable[[int], tuple[int, str, int]]:
        return lambda item: (item, place.device, os.getpid())


@dataclass(frozen=True)
class Fails:
    def open(self, place: Place) -> Callable[[int], int]:
        def work(item: int) -> int:
            if item == 3:
                raise ValueError("the fourth cannot be read; mend it")
            return item

        return work


def written(workers: Workers, folder: Path, photos: Sequence[object]) -> list[Written]:
    folder.mkdir()
    knobs: ThresholdMapsKnobs = resolved("ThresholdMaps", "tiny")
    return list(workers.map(WrittenJob(ThresholdJob(knobs), folder, ".png"), photos))  # type: ignore[arg-type]


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.filterwarnings(SLOW_IMPORTS)
def test_here_two_processes_and_a_dask_worker_write_the_same_bytes_and_tell_the_same(tiny: Path) -> None:
    made(DemoPhotos(dataset="tiny"))
    photos = made(Dataset(dataset="tiny")).photos("train")
    told = {
        "here": written(Here(Place()), tiny / "here", photos),
        "processes": written(Processes(Place(), 2), tiny / "processes", photos),
        "dask": written(Dask(Place(), "", 1), tiny / "dask", photos),
    }
    assert len(photos) == 6
    assert told["here"] == told["processes"] == told["dask"]
    assert files_in(tiny / "here") == files_in(tiny / "processes") == files_in(tiny / "dask")
    assert not any((tiny / "outputs" / ".jobs").iterdir())


@pytest.mark.parametrize("workers", [Here(Place()), Processes(Place(), 2)])
def test_an_error_of_the_work_arrives_as_it_is(workers: Workers) -> None:
    with pytest.raises(ValueError, match="the fourth cannot be read; mend it"):
        list(workers.map(Fails(), range(6)))


@pytest.mark.parametrize("workers", [Here(Place()), Processes(Place(), 2), Dask(Place(), "", 1), Gpus((Place(),))])
def test_no_items_are_no_work(workers: Workers) -> None:
    assert list(workers.map(Where(), [])) == []


@pytest.mark.filterwarnings(SLOW_IMPORTS)
def test_each_gpu_has_a_process_of_its_own_and_results_come_in_order() -> None:
    places = (Place("cpu:0"), Place("cpu:1"))  # as if these were two GPUs
    told = list(Gpus(places).map(Where(), range(40)))
    assert [item for item, _, _ in told] == list(range(40))
    assert {device for _, device, _ in told} <= {"cpu:0", "cpu:1"}
    assert len({(device, process) for _, device, process in told}) == len({process for _, _, process in told})
    assert os.getpid() not in {process for _, _, process in told}


def test_trainings_side_by_side_take_a_gpu_each_while_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, held = ["cuda:0", "cuda:1"], list[TextIO]()
    monkeypatch.setattr(devices, "_HELD", held)
    assert [devices.free_of(names, tmp_path) for _ in names] == names
    assert devices.free_of(names, tmp_path) in names, "all are taken: they are shared"
    held.pop(0).close()
    assert devices.free_of(names, tmp_path) == "cuda:0", "its training has ended"
    for stream in held:
        stream.close()


def test_gpus_that_are_not_there_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices.gpus(0) == ["cuda:0", "cuda:1"]
    assert devices.gpus(1) == ["cuda:0"]
    with pytest.raises(ValueError, match='workers = "gpus" with count = 3, but there are 2 usable GPUs; set '):
        devices.gpus(3)


@pytest.mark.parametrize(("items", "workers", "size"), [(1, 4, 1), (100, 4, 1), (1000, 4, 15), (10**6, 64, 32)])
def test_many_items_are_handed_over_many_at_a_time(items: int, workers: int, size: int) -> None:
    assert chunk_size(items, workers) == size


def test_a_worker_with_other_versions_is_refused_in_one_sentence() -> None:
    refuse_others(versions(), versions(), "the worker a")
    other = {**versions(), "torch": "1.0", "Python": "2.7"}
    with pytest.raises(StageError) as told:
        refuse_others(versions(), other, "the worker a")
    words = str(told.value)
    assert words.startswith("the worker a has Python 2.7 instead of ")
    assert ", torch 1.0 instead of " in words
    assert words.endswith("give it the same environment, and run the same command again")


def test_without_distributed_dask_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(StageError, match=r'workers = "dask" needs .*; pip install "hairline\[cluster\]", or set'):
        list(Dask(Place(), "", 1).map(Where(), [1]))


@pytest.mark.filterwarnings(SLOW_IMPORTS)
def test_a_scheduler_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.core.engines.dask._PATIENCE_S", 1.0)
    with pytest.raises(StageError, match=r"the Dask scheduler at tcp://127.0.0.1:9 .*; .*the same command goes on"):
        list(Dask(Place(), "tcp://127.0.0.1:9", 1).map(Where(), [1]))
