"""Several processes that train one network do what one does with the same batches, but for round-off."""

from __future__ import annotations

import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.knobs import ExecutionKnobs
from pipeline.learning.ranks import ALONE, Ranks, slices
from tasks.core.errors import HairlineError, StageError
from tasks.core.pixel_file import Chosen, Pixels
from tasks.core.ranks import check, told
from tests.conftest import ROOT, environment, luigi_command, luigi_in, make_workplace, resolved
from tests.rank_cases import CASES, NETWORKS, Net, trained

# the largest difference of a tensor, as a share of its largest number: round-off, two epochs on
ROUND_OFF = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 0.1}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the ranks of two and of three left, a file for each case and rank."""
    return by_ranks(tmp_path_factory.mktemp("together"), CASES, "3,2")


def by_ranks(folder: Path, cases: Iterable[str], sizes: str) -> Path:
    command = [sys.executable, "-m", "tests.rank_cases", str(folder), ",".join(cases), sizes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def one_process() -> dict[str, dict[str, Any]]:
    return {case: trained(case) for case in CASES}


def largest_difference(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """Of a tensor's numbers, as a share of its largest one."""
    assert found.keys() == wanted.keys()
    shares = [
        (found[name].double() - tensor.double()).abs().max() / tensor.double().abs().max().clamp_min(1e-6)
        for name, tensor in wanted.items()
    ]
    return float(max(shares))


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_ranks_end_where_one_process_ends_but_for_round_off_and_all_with_the_same_bits(
    case: str, size: int, together: Path, one_process: dict[str, dict[str, Any]]
) -> None:
    """Every loss there is, batch norms, dropouts; batches of 5, 5 and 2 rows, the last with none for one of three."""
    found = [torch.load(together / f"{case}-{size}-{rank}.pt", weights_only=True) for rank in range(size)]
    for other in found[1:]:
        assert all(torch.equal(other["model"][name], tensor) for name, tensor in found[0]["model"].items())
    wanted = one_process[case]
    assert largest_difference(found[0]["model"], wanted["model"]) < ROUND_OFF[case]
    for mine, whole in zip(found[0]["log"], wanted["log"], strict=True):
        numbers = [name for name in whole if name not in ("seconds", "samples_per_second")]
        assert [mine[name] for name in numbers] == pytest.approx(
            [whole[name] for name in numbers], rel=ROUND_OFF[case] / 10
        )


def distance(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> float:
    """Of all weights together, as a share of their length."""
    assert found.keys() == wanted.keys()
    off = sum(float((found[name].double() - each.double()).square().sum()) for name, each in wanted.items())
    return float((off / sum(float(each.double().square().sum()) for each in wanted.values())) ** 0.5)


@pytest.mark.slow
def test_every_network_is_trained_by_two_ranks_as_by_one_process(tmp_path: Path) -> None:
    """In float64, where a batch norm or a dropout that sees its own rows only could not hide behind round-off."""
    folder = by_ranks(tmp_path, NETWORKS, "2")
    for name in NETWORKS:
        found = torch.load(folder / f"{name}-2-0.pt", weights_only=True)["model"]
        assert distance(found, trained(name)["model"]) < 1e-11, name


def test_rows_are_shared_one_after_the_other() -> None:
    assert slices(5, 2) == [slice(0, 2), slice(2, 5)]
    assert slices(2, 3) == [slice(0, 0), slice(0, 1), slice(1, 2)]


@given(st.integers(0, 70), st.integers(1, 9))
def test_every_row_belongs_to_one_rank_and_no_rank_has_two_more_than_another(rows: int, size: int) -> None:
    parts = [list(range(rows))[part] for part in slices(rows, size)]
    assert [row for part in parts for row in part] == list(range(rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_process_alone_is_handed_its_own_tensors_and_its_own_network() -> None:
    batch, model = torch.rand(3, 3, 16, 16), Net(exact=False)
    assert ALONE.share(batch) is batch
    assert ALONE.gathered(batch) is batch
    with ALONE.joined(model):
        assert not any("forward" in vars(part) for part in model.modules())


def test_a_network_is_joined_for_a_while_only_and_keeps_its_names_and_its_answers() -> None:
    model, batch = Net(exact=False).eval(), torch.rand(3, 3, 16, 16)
    names, answer = list(model.state_dict()), model(batch)["logits"]
    with Ranks(0, 2).joined(model):
        assert list(model.state_dict()) == names
        assert torch.equal(model(batch)["logits"], answer)  # outside training nothing is joined
        assert sum("forward" in vars(part) for part in model.modules()) == 6
    assert not any("forward" in vars(part) for part in model.modules())


def test_a_network_that_folds_its_batch_is_refused_where_lots_are_drawn() -> None:
    ranks, drop = Ranks(0, 2), nn.Dropout(0.5)
    ranks.share(torch.zeros(4, 3))
    with ranks.joined(drop):
        assert drop(torch.ones(2, 3)).shape == (2, 3)
        with pytest.raises(ValueError, match=r"8 rows where rank 0 computes 2; .* set \[Execution\] ranks = 1"):
            drop(torch.ones(8, 3))


@dataclass
class Failed:
    exitcode: int
    message: object = ""


def said(sentence: str) -> dict[str, str]:
    return {"message": sentence}


@pytest.mark.parametrize(
    ("failures", "kind", "sentence"),
    [
        ([Failed(-15), Failed(-9)], StageError, "rank 1 of 2 was killed by signal 9 (out of memory? lower ranks or"),
        ([Failed(1, said("LostRankError: gone")), Failed(-9)], StageError, "rank 1 of 2 was killed by signal 9"),
        ([Failed(-15), Failed(1, said("StageError: no room"))], StageError, "no room"),
        ([Failed(1, said("FloatingPointError: the loss is nan"))], FloatingPointError, "the loss is nan"),
        ([Failed(1, said("ValueError: one kind"))], ValueError, "one kind"),
        ([Failed(1, said("KeyError: 'x'"))], StageError, "rank 0 of 2 failed with KeyError: 'x'; the same command"),
        ([Failed(1, said("LostRankError: gone"))], StageError, "rank 0 of 2 ended with exit code 1; the same command"),
    ],
)
def test_of_several_ranks_that_ended_the_first_cause_is_told(
    failures: list[Failed], kind: type[Exception], sentence: str
) -> None:
    error = told(dict(enumerate(failures)), 2)
    assert type(error) is kind
    assert str(error).startswith(sentence)


@pytest.mark.parametrize(
    ("changed", "gpus", "sentence"),
    [
        ({"ranks": 4}, 2, 'ranks = 4, but this machine has 2 usable GPUs and each rank takes one; set ranks = 2'),
        ({"ranks": 9}, None, "ranks = 9 in all for batches of 8; allowed: up to 8"),
        ({"ranks": 5, "nodes": 2, "rendezvous": "a:1"}, None, "ranks = 10 in all for batches of 8"),
        ({"nodes": 2}, None, 'nodes = 2 with rendezvous = ""; say where they meet: rendezvous = "host:port"'),
    ],
)  # fmt: skip
def test_ranks_that_cannot_work_are_refused_before_they_start(
    tiny: Path, changed: dict[str, Any], gpus: int | None, sentence: str
) -> None:
    execution: ExecutionKnobs = resolved("Execution", "tiny")
    check(replace(execution, ranks=2), 8, gpus)
    with pytest.raises(HairlineError, match=re.escape(sentence)):
        check(replace(execution, **changed), 8, gpus)


def test_decoded_images_are_handed_to_other_processes_even_when_their_file_has_lost_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.pixels"
    path.write_bytes(bytes(range(12)))
    with path.open("rb") as stream:
        handed = pickle.dumps(Chosen([Pixels(stream.fileno(), [(2, 3), (3, 2)])], [(0, 1)]))
        path.unlink()
        assert np.array_equal(pickle.loads(handed)[0], [[6, 7], [8, 9], [10, 11]])
    with pytest.raises(StageError, match="are gone; raise"):
        pickle.loads(handed)


# through Luigi: batches of 3 and 4 crops, of 5 and 6 patches
SEGMENTER = ("Segmenter", "--dataset", "tiny", "--segmenter", "unet", "--labels", "full",
             "--batch-size", "3", "--samples-per-epoch", "7")  # fmt: skip
CLASSIFIER = ("Classifier", "--dataset", "tiny", "--batch-size", "5", "--samples-per-epoch", "11",
              "--learning-rate", "0.0001")  # fmt: skip
# a ResNet-18 of one process in float32 ends up to 0.0023 away from the same in float64, and with ranks no further
FLOAT32 = 0.005
TWO = ("--Execution-ranks", "2")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workplace that has come as far as the patches."""
    workplace = make_workplace(tmp_path_factory.mktemp("prepared") / "workplace")
    assert luigi_in(workplace, "Patches", "--dataset", "tiny").returncode == 0
    return workplace


@pytest.fixture
def workplace(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "workplace")
    return tmp_path / "workplace"


def weights(workplace: Path, stage: str) -> dict[str, Tensor]:
    (path,) = (workplace / "outputs" / stage).glob("tiny-*/weights.safetensors")
    return load_file(path)


def alike(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], each) for name, each in wanted.items())


def anew(workplace: Path, stage: str) -> dict[str, Tensor]:
    """Takes away what was trained, and returns it."""
    taken = weights(workplace, stage)
    shutil.rmtree(workplace / "outputs" / stage)
    return taken


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "stage", "bound"), [(SEGMENTER, "segmenter", 1e-5), (CLASSIFIER, "classifier", FLOAT32)]
)
def test_two_ranks_train_the_stages_as_one_process_does_but_for_round_off(
    workplace: Path, words: tuple[str, ...], stage: str, bound: float
) -> None:
    assert luigi_in(workplace, *words).returncode == 0
    alone = anew(workplace, stage)
    done = luigi_in(workplace, *words, *TWO)
    assert done.returncode == 0, done.stderr
    assert distance(weights(workplace, stage), alone) < bound
    (manifest,) = (workplace / "outputs" / stage).glob("tiny-*/manifest.json")
    assert '"ranks": 2' in manifest.read_text()
    assert '"ranks.partial"' not in manifest.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["epoch-1", "follower-1"])
def test_a_killed_rank_is_one_sentence_no_weights_and_the_same_command_goes_on(workplace: Path, point: str) -> None:
    assert luigi_in(workplace, *SEGMENTER, *TWO).returncode == 0
    undisturbed = anew(workplace, "segmenter")
    killed = luigi_in(workplace, *SEGMENTER, *TWO, CHAOS=f"Segmenter:{point}")
    assert killed.returncode == 30
    rank = "0" if point == "epoch-1" else "1"
    assert f": rank {rank} of 2 was killed by signal 9 (out of memory?" in killed.stderr
    assert "Traceback" not in killed.stderr
    assert not list((workplace / "outputs" / "segmenter").rglob("weights.safetensors"))
    again = luigi_in(workplace, *SEGMENTER, *TWO)
    assert again.returncode == 0, again.stderr
    if point == "epoch-1":
        assert "goes on after epoch 1 of 2" in again.stderr
    assert alike(weights(workplace, "segmenter"), undisturbed)


@pytest.mark.slow
def test_a_training_begun_by_one_process_is_finished_by_two_ranks(workplace: Path) -> None:
    assert luigi_in(workplace, *SEGMENTER, CHAOS="Segmenter:epoch-1").returncode == 30
    done = luigi_in(workplace, *SEGMENTER, *TWO)
    assert done.returncode == 0, done.stderr
    assert "goes on after epoch 1 of 2" in done.stderr


@pytest.mark.slow
def test_what_a_rank_refuses_is_the_sentence_of_one_process(workplace: Path) -> None:
    far = ("--learning-rate", "1e6", "--Segmenter-schedule", "constant", "--optimiser", "sgd", "--momentum", "0.9")
    words = (*SEGMENTER, *far, "--epochs", "50", "--loss", "weighted_bce", "--positive-weight", "1e6")
    sentences = []
    for more in ((), TWO):
        done = luigi_in(workplace, *words, *more)
        assert done.returncode == 30
        assert "Traceback" not in done.stderr
        sentences.append([line for line in done.stderr.splitlines() if line.startswith("error: ")])
    assert sentences[0] == sentences[1]
    assert "try a smaller learning_rate" in sentences[0][0]


def ranks_of(workplace: Path) -> list[int]:
    """The living ranks that were handed something in the workplace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"tasks.core.rank" in words and any(word.startswith(bytes(workplace)) for word in words):
            found.append(int(folder.name))
    return found


def waited(until: Any, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if until():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_no_rank_outlives_the_command_that_started_it(workplace: Path) -> None:
    command = [luigi_command(), "--module", "tasks", *SEGMENTER, "--epochs", "5000", *TWO]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, env=environment(workplace), **quiet) as process:  # type: ignore[call-overload]
        checkpoints = workplace / "outputs" / "segmenter"
        assert waited(lambda: list(checkpoints.rglob("checkpoint.pt")), 120)
        assert len(ranks_of(workplace)) == 2
        process.send_signal(signal.SIGKILL)
    assert waited(lambda: not ranks_of(workplace), 10)


@pytest.mark.slow
def test_two_machines_train_together_with_the_command_that_the_first_one_tells(workplace: Path) -> None:
    """Both are this one; each has an agent and a rank of its own."""
    assert luigi_in(workplace, *SEGMENTER, *TWO).returncode == 0
    on_one = anew(workplace, "segmenter")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [*SEGMENTER, "--Execution-nodes", "2", "--Execution-rendezvous", f"127.0.0.1:{port}"]
    env, note = environment(workplace), workplace / "stderr"
    with note.open("w") as stderr:
        first = subprocess.Popen([luigi_command(), "--module", "tasks", *words], cwd=ROOT, env=env, stderr=stderr)
        assert waited(lambda: "each started by: " in note.read_text(), 120)
        time.sleep(0.2)
        (line,) = [line for line in note.read_text().splitlines() if "each started by: " in line]
        torchrun, *arguments = line.split("each started by: ")[1].split()
        beside = Path(sys.executable).with_name(torchrun)
        second = subprocess.run([str(beside), *arguments], cwd=ROOT, env=env, capture_output=True, timeout=300)
        assert first.wait(300) == 0, note.read_text()
    assert second.returncode == 0, second.stderr
    assert alike(weights(workplace, "segmenter"), on_one)
