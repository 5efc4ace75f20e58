"""Clusters that are made here: Dask on three addresses of this machine, and a real SLURM of one node."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, SHARED, cold, environment, luigi_command, luigi_in, make_workplace, published

pytestmark = pytest.mark.slow
CRACK500 = """
recipe = "quick"
[Dataset]
layout = "crack500"
root = "crack500"
max_images = 200
[Execution]
device = "cpu"
processes = 2
"""
WORDS = ("ThresholdMaps", "--dataset", "crops")
REAL = pytest.mark.skipif(not (SHARED / "crack500").is_dir(), reason=f"CRACK500 is not in {SHARED}")


@pytest.fixture
def crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workplace with 200 real crops, checked already."""
    monkeypatch.setenv("HAIRLINE_DATA", str(SHARED))
    workplace = make_workplace(tmp_path)
    (workplace / "configs" / "crops.toml").write_text(CRACK500)
    assert luigi_in(workplace, "Dataset", "--dataset", "crops").returncode == 0
    return workplace


def maps(workplace: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (workplace / "outputs").glob("threshold_maps/crops-*/*.png")}


def fresh_maps(workplace: Path, *words: str) -> dict[str, bytes]:
    shutil.rmtree(workplace / "outputs" / "threshold_maps", ignore_errors=True)
    done = luigi_in(workplace, *WORDS, *words)
    assert done.returncode == 0, done.stderr
    return maps(workplace)


@REAL
def test_one_two_and_four_dask_workers_write_the_same_maps_of_real_crops(crops: Path) -> None:
    here = fresh_maps(crops)
    assert len(here) > 100
    for count in ("1", "2", "4"):
        assert fresh_maps(crops, "--Execution-workers", "dask", "--Execution-count", count) == here


@contextlib.contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "18786"]
    folder.mkdir(exist_ok=True)
    with ended(subprocess.Popen([*command, "--no-dashboard"], cwd=folder, stderr=subprocess.DEVNULL)) as process:
        yield "tcp://127.0.0.1:18786", process


@contextlib.contextmanager
def worker(folder: Path, host: str, address: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """One process without a nurse, in a folder of its own."""
    folder.mkdir()
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--host", host, "--nthreads", "1"]
    more = ["--no-nanny", "--no-dashboard", "--memory-limit", "0", "--local-directory", str(folder)]
    places = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    with ended(subprocess.Popen([*command, *more], cwd=folder, env=places, stderr=subprocess.DEVNULL)) as process:
        yield process


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def start(workplace: Path, *words: str) -> subprocess.Popen[str]:
    command = [luigi_command(), "--module", "tasks", *WORDS, *words]
    return subprocess.Popen(command, env=environment(workplace), cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for_maps(workplace: Path, count: int) -> None:
    for _ in range(6000):
        if sum(1 for _ in (workplace / "outputs").glob("threshold_maps/.draft-crops-*/*.png")) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"never {count} maps")


@REAL
def test_a_killed_worker_is_stood_in_for_and_after_a_killed_scheduler_the_same_command_goes_on(crops: Path) -> None:
    here = fresh_maps(crops)
    shutil.rmtree(crops / "outputs" / "threshold_maps")
    with scheduler(crops / "s") as (address, _), worker(crops / "a", "127.0.0.2", address) as first:
        words = ("--Execution-workers", "dask", "--Execution-address", address)
        with worker(crops / "b", "127.0.0.3", address):
            run = start(crops, *words)
            wait_for_maps(crops, 20)
            first.send_signal(signal.SIGKILL)
            told = run.communicate()[1]
            assert run.returncode == 0, told
            assert maps(crops) == here
    shutil.rmtree(crops / "outputs" / "threshold_maps")
    with scheduler(crops / "s") as (address, process), worker(crops / "c", "127.0.0.2", address):
        run = start(crops, *words)
        wait_for_maps(crops, 20)
        process.send_signal(signal.SIGKILL)
        told = run.communicate()[1]
    assert run.returncode == 30, told
    assert "the Dask scheduler at tcp://127.0.0.1:18786 is gone" in told
    assert "the same command goes on with what is missing" in told
    assert "Traceback" not in told
    with scheduler(crops / "s") as (address, _), worker(crops / "d", "127.0.0.3", address):
        again = start(crops, *words)
        told = again.communicate()[1]
    assert again.returncode == 0, told
    assert maps(crops) == here


@REAL
def test_a_worker_with_another_version_is_refused(crops: Path) -> None:
    (crops / "preload.py").write_text(
        "import tasks.core.provenance as there\n"
        "there.package_versions = lambda known=there.package_versions: {**known(), 'torch': '1.0'}\n"
    )
    other = {"DASK_DISTRIBUTED__WORKER__PRELOAD": str(crops / "preload.py")}
    with scheduler(crops / "s") as (address, _), worker(crops / "a", "127.0.0.2", address, **other):
        run = start(crops, "--Execution-workers", "dask", "--Execution-address", address)
        told = run.communicate()[1]
    assert run.returncode == 30
    assert " has torch 1.0 instead of " in told, told
    assert "give it the same environment" in told
    assert "Traceback" not in told


PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "munged")
CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
SlurmctldPort=26817
SlurmdPort=26818
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/ctld.pid
SlurmdPidFile={place}/d.pid
SlurmctldLogFile={place}/log/ctld.log
SlurmdLogFile={place}/log/d.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A SLURM of one node, from the distribution's packages."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if absent or os.geteuid() != 0:
        pytest.skip(f"needs root and the programs {', '.join(absent or PROGRAMS)}")
    place = tmp_path / "slurm"
    for name in ("state", "spool", "log"):
        (place / name).mkdir(parents=True)
    conf = place / "slurm.conf"
    conf.write_text(CONF.format(host=os.uname().nodename.partition(".")[0], place=place))
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    subprocess.run(
        ["su", "-s", "/bin/sh", "munge", "-c", "/usr/sbin/munged"], capture_output=True
    )  # or it runs already
    monkeypatch.setenv("SLURM_CONF", str(conf))
    for program in ("slurmctld", "slurmd"):
        subprocess.run([f"/usr/sbin/{program}", "-f", str(conf)], check=True)
    yield
    for name in ("d.pid", "ctld.pid"):
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((place / name).read_text()), signal.SIGTERM)


SLURM = ("RunAll", "--dataset", "tiny", "--Execution-workers", "slurm", "--Execution-count", "2")


def test_the_whole_road_on_slurm_ends_with_the_same_tables_also_after_scancel(
    cluster: None, tiny: Path, undisturbed: Path
) -> None:
    command = [luigi_command(), "--module", "tasks", *SLURM]
    run = subprocess.Popen(command, env=environment(tiny), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not list((tiny / "outputs" / ".jobs").glob("Classifier-*/*/log.txt")):
        assert run.poll() is None, run.stderr
        time.sleep(0.5)
    subprocess.run(["scancel", "--name=hairline-Classifier"], check=True)
    told = run.communicate()[1]
    assert run.returncode == 30, told
    assert "error: Classifier tiny-" in told
    assert "(Classifier) ended as CANCELLED; its log is " in told
    assert "the same command goes on with what is missing" in told
    assert "Traceback" not in told
    again = cold(command, environment(tiny))
    assert again.returncode == 0, again.stderr
    assert published(tiny) == published(undisturbed)
    left = [path.name for path in (tiny / "outputs" / ".jobs").iterdir() if path.is_dir()]
    assert left == [], "scripts and logs of what succeeded are still there"
