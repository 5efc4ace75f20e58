"""The schema of scores, tables and what is asked of them, and of how everything is computed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.knobs.ranges import Amount, Count, Plain, Positive, Range, Seed, Share, Side
from pipeline.knobs.training import Precision


@dataclass(frozen=True)
class ScoresKnobs:
    empty: Literal["zero", "one", "skip"]
    fixed_threshold: Share  # of IoU, Dice and accuracy: 0.00, 0.01 … 0.99
    region_px: Side
    region_crack_share: Share  # of its pixels, for a region to be cracked
    region_hit_share: Share  # of its crack pixels, for a cracked region to be found
    referee: bool  # whether every definition of [Judge] is scored as well, with intervals of ODS, OIS and AP

    def __post_init__(self) -> None:
        if self.fixed_threshold not in [percent / 100 for percent in range(100)]:
            raise ValueError(f"fixed_threshold = {self.fixed_threshold:g}; allowed: 0.00, 0.01, … 0.99")
        if not (self.region_crack_share and self.region_hit_share):
            raise ValueError("region_crack_share and region_hit_share must be above 0, or every region is a hit")


@dataclass(frozen=True)
class TablesKnobs:
    classifiers: list[str]
    segmenters: list[str]  # "all" alone: every network of models/, in this and in semi
    labels: list[str]
    test_sets: list[str]  # "self": the test images of the data set itself
    semi: list[str]  # those of the segmenters that are also trained with pseudo labels of the test images added
    also_train_on: list[str]  # data sets whose own tables are wanted in these as well
    absent: Literal["name", "fail"]  # what to do about data sets that are not on this machine
    scored: bool  # whether there are masks to score against; false: labels and predictions are made and listed
    seeds: list[Seed]  # of everything that is trained; []: the one of [Classifier] and of [Segmenter]


@dataclass(frozen=True)
class LabelTablesKnobs:
    classifiers: list[str]  # []: neither pseudo labels nor CRF labels, which rest on one
    variants: list[str]
    merge_rules: list[str]  # rows of labels merged by each of these rules, of each source alone, and of round 2


@dataclass(frozen=True)
class CrossTableKnobs:
    datasets: list[str]  # each is trained on, and each is tested on; "self": the data set itself
    classifiers: list[str]  # behind crf and pseudo labels
    segmenters: list[str]
    labels: list[str]
    absent: Literal["name", "fail"]  # what to do about data sets that are not on this machine


@dataclass(frozen=True)
class EfficiencyKnobs:
    segmenters: list[str]
    width_px: Side  # of the one image
    height_px: Side
    rounds: Positive  # forward passes, whose median is the time
    warm_up: Count  # forward passes before them, after a first one in which the operations are counted
    precision: Precision


@dataclass(frozen=True)
class EffortCurveKnobs:
    labels: str  # that yes/no answers are turned into
    segmenter: str
    answers: list[Count]  # so many answers, each a training; 0: one for every patch
    masks: list[Count]  # at most so many masks, of whole photos, each a training; 0: all
    seeds: list[Seed]  # of every training
    answer_s: Amount  # seconds of a person's time
    mask_min: Amount  # minutes of a person's time

    def __post_init__(self) -> None:
        if not (self.answers and self.masks and self.seeds):
            raise ValueError("answers, masks and seeds must each name at least one number")


@dataclass(frozen=True)
class AblationsKnobs:
    seeds: list[Seed]  # each row is trained once with each

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds}; allowed: at least one, each once")


@dataclass(frozen=True)
class StarterKnobs:
    segmenter: str
    test_sets: list[str]  # on whose test images it is scored


@dataclass(frozen=True)
class GcKnobs:
    keep_days: Count  # what a command line made is no rubbish before


_OURS = ("array", "job-name", "output", "error", "open-mode", "chdir", "parsable", "wrap")  # options of sbatch
_OPTION = re.compile(r"[a-z][a-z-]*")


@dataclass(frozen=True)
class ExecutionKnobs:
    """What may not change a result beyond round-off; never part of a key."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Range(1, 256)]  # of one computing process; of each rank
    processes: Annotated[int, Range(1, 256)]  # side by side, in stages that work image by image
    time_limit_s: Count  # of one stage; 0: none
    decoded_mb: Count  # of the disk, for pixels that are decoded once and read by every training; 0: none are kept
    workers: Literal["here", "processes", "gpus", "dask", "slurm"]  # who does what goes image by image
    count: Count  # of the workers on gpus, dask and slurm; 0: as many as there are
    address: str  # of a dask scheduler that runs; "": one is started on this machine
    slurm: Plain  # SLURM's own options, and "lines" of shell to run before the work
    slurm_networks: Plain  # what is different where networks compute
    ranks: Annotated[int, Range(1, 256)]  # processes on each machine that train one network together; a GPU for each
    nodes: Annotated[int, Range(1, 256)]  # machines that train one network together, with a common outputs folder
    rendezvous: str  # "host:port" where several machines meet; "" for one

    def __post_init__(self) -> None:
        for name, table in (("slurm", self.slurm), ("slurm_networks", self.slurm_networks)):
            for option, value in table.items():
                _check_option(name, option, value)


def _check_option(table: str, option: str, value: str | float) -> None:
    if option in _OURS or not _OPTION.fullmatch(option):
        raise ValueError(
            f"{table} has {option!r}; allowed: sbatch's long options without their dashes (partition, time, mem …) but "
            f'for {", ".join(_OURS)}, which the project sets, and lines of shell under "lines"'
        )
    if option != "lines" and not set(str(value)).isdisjoint('\n\r"'):
        raise ValueError(f"{table} has {option} = {value!r}; allowed: one line without quotes")
