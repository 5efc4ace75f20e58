"""SLURM: the script as text, shards as plain commands, and what is said when a job ends before its work is done."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.knobs import ExecutionKnobs
from tasks.core.engines import queue, shard, slurm
from tasks.core.engines.script import Script
from tasks.core.engines.slurm import Slurm, shards_of
from tasks.core.errors import StageError
from tasks.core.settings import ROOT, Experiment
from tasks.core.workers import Place
from tests.conftest import Luigi


@dataclass(frozen=True)
class Square:
    def open(self, place: Place) -> Callable[[int], int]:
        return self.work

    def work(self, item: int) -> int:
        if item == 666:
            raise ValueError("666 cannot be read; mend it")
        return item * item


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OUTPUTS", "DATA", "CONFIGS"):
        monkeypatch.setenv(f"HAIRLINE_{name}", str(tmp_path / name.lower()))
    return tmp_path


def test_the_script_of_an_array_as_text(place: Path) -> None:
    options = {"partition": "gpu", "time": "8:00:00", "mem": "4G", "comment": "two words", "exclusive": ""}
    command = ["/env/bin/python", "-m", "tasks.core.engines.shard", "/jobs/a b"]
    lines = {"lines": "module load cuda\nulimit -n 4096"}
    script = Script("ThresholdJob", Path("/jobs/a b"), command, {**options, **lines}, array=64, at_a_time=8)
    assert script.text() == (
        "#!/bin/sh\n"
        "#SBATCH --job-name=hairline-ThresholdJob\n"
        "#SBATCH --array=0-63%8\n"
        '#SBATCH --output="/jobs/a b/log-%a.txt"\n'
        "#SBATCH --open-mode=append\n"
        "#SBATCH --requeue\n"
        "#SBATCH --partition=gpu\n"
        "#SBATCH --time=8:00:00\n"
        "#SBATCH --mem=4G\n"
        '#SBATCH --comment="two words"\n'
        "#SBATCH --exclusive\n"
        f"export HAIRLINE_OUTPUTS={place}/outputs\n"
        f"export HAIRLINE_DATA={place}/data\n"
        f"export HAIRLINE_CONFIGS={place}/configs\n"
        f"cd {ROOT} || exit 1\n"
        "module load cuda\n"
        "ulimit -n 4096\n"
        "exec /env/bin/python -m tasks.core.engines.shard '/jobs/a b' \"$SLURM_ARRAY_TASK_ID\"\n"
    )


def test_the_script_of_a_single_job_has_no_array(place: Path) -> None:
    text = Script("Segmenter", Path("/jobs"), ["python"], {}).text()
    assert "array" not in text.lower()
    assert "#SBATCH --output=/jobs/log.txt\n" in text


@pytest.mark.parametrize(
    ("items", "count", "shards"),
    [(1, 0, 1), (1000, 0, 16), (10**6, 0, 1000), (10, 4, 1), (1000, 4, 4), (10**6, 64, 64), (10**6, 5000, 1000)],
)
def test_there_is_a_shard_for_each_job_at_a_time_and_none_is_tiny(items: int, count: int, shards: int) -> None:
    assert shards_of(items, count) == shards


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"array": "0-9"}, "slurm has 'array'; allowed: sbatch's long options without their dashes"),
        ({"--mem": "4G"}, "slurm has '--mem'; allowed: sbatch's long options"),
        ({"mem": "4G\n#SBATCH --x"}, "slurm has mem = '4G\\n#SBATCH --x'; allowed: one line without quotes"),
    ],
)
def test_options_that_sbatch_could_not_be_given_are_refused(table: dict[str, str], told: str) -> None:
    plain = Experiment("", "paper").resolve(ExecutionKnobs)
    with pytest.raises(ValueError) as error:
        dataclasses.replace(plain, slurm=table)
    assert str(error.value).startswith(told)


def test_options_of_slurm_on_the_command_line_are_checked_before_any_work(luigi_run: Luigi) -> None:
    refused = luigi_run("ThresholdMaps", "--dataset", "tiny", "--Execution-slurm", '{"mem": ["4G"]}')
    assert refused.returncode == 2
    assert "--Execution-slurm {'mem': ['4G']}; allowed: a table of texts and numbers" in refused.stderr


def test_without_slurm_on_this_machine_it_is_one_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place))
    with pytest.raises(StageError, match=r'workers = "slurm" needs the command sbatch, which is not here; run on a'):
        list(Slurm(Place(), 1, {}).map(Square(), [1]))


SBATCH = """#!/bin/sh
echo "$@" >> {place}/asked
n=$(sed -n 's/#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$2")
for i in $(seq 0 $n); do
  test "{lost}" = "$i" || SLURM_ARRAY_TASK_ID=$i sh "$2" > "$(dirname "$2")/log-$i.txt" 2>&1
done
echo "42;cluster"
"""
SQUEUE = """#!/bin/sh
for i in 0 1 2 3; do test "{lost}" = "$i" && echo "$i|CANCELLED|None" || echo "$i|COMPLETED|None"; done
"""


def fake(place: Path, monkeypatch: pytest.MonkeyPatch, lost: str = "") -> None:
    """Commands of SLURM that run every shard at once, one after another, but for one that is lost."""
    (place / "bin").mkdir(exist_ok=True)
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": "#!/bin/sh\n"}.items():
        path = place / "bin" / name
        path.write_text(text.format(place=place, lost=lost))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{place / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(slurm, "_GRACE_S", 0.1)
    monkeypatch.setattr(queue, "_ASK_EVERY_S", 0.0)


def test_results_of_an_array_come_in_order_and_nothing_is_left(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(place, monkeypatch)
    assert list(Slurm(Place(), 2, {"mem": "1G"}).map(Square(), range(40))) == [n * n for n in range(40)]
    assert not any((place / "outputs" / ".jobs").iterdir())


def test_a_lost_shard_is_one_sentence_with_its_state_and_its_log(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(place, monkeypatch, lost="1")
    with pytest.raises(StageError) as told:
        list(Slurm(Place(), 2, {}).map(Square(), range(40)))
    words = str(told.value)
    assert words.startswith("SLURM job 42_1 (Square) ended as CANCELLED; its log is ")
    assert words.endswith("/log-1.txt; the same command goes on with what is missing")


def test_a_queue_that_has_not_answered_yet_ends_no_job(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(place, monkeypatch)
    (place / "bin" / "squeue").write_text("#!/bin/sh\necho slurm_load_jobs error: Unable to contact >&2; exit 1\n")
    running = queue.Running(Script("Square", place, [], {}, array=2), "42")
    assert running.ended() == {}
    fake(place, monkeypatch)
    assert running.ended() == {0: "COMPLETED", 1: "COMPLETED"}


def test_an_error_of_the_work_arrives_from_a_shard_as_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(place, monkeypatch)
    with pytest.raises(ValueError, match="666 cannot be read; mend it"):
        list(Slurm(Place(), 1, {}).map(Square(), [1, 666]))


def test_a_shard_that_is_started_again_goes_on_after_what_it_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(shard, "opened", lambda folder, stamp: asked.append)
    run = place / "1"
    run.mkdir()
    shard.files.write_bytes(run / shard.ITEMS.format(0), shard.pickle.dumps(["a", "b", "c"]))
    shard.files.write_bytes(run / shard.RESULTS.format(0, 0), shard.pickle.dumps([None]))
    shard.work(run, 0)
    assert asked == ["b", "c"]
