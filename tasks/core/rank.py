"""One rank: `python -m tasks.core.rank <handed> …` reads the course that it was handed and computes its rows."""

from __future__ import annotations

import dataclasses
import functools
import os
import pickle
import sys
import traceback
from pathlib import Path

from tasks.core.child import die_with_parent
from tasks.core.errors import HairlineError, StageError
from tasks.core.ranks import AS_IN_ONE_PROCESS, WRITES, Handed


def main(handed: str, *words: str) -> None:
    """One rank from its beginning to its end; what it complains of is left for the agent."""
    from torch.distributed.elastic.multiprocessing.errors import record

    from pipeline.learning.ranks import LostRankError

    die_with_parent()
    try:
        record(_compute)(Path(handed), writes=WRITES in words and os.environ["LOCAL_RANK"] == "0")
    except (HairlineError, LostRankError, *AS_IN_ONE_PROCESS.values()):
        code = 1
    except Exception:
        traceback.print_exc()
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # as every computing process here: nothing is left to tidy up, and threads of the network may hang


def _compute(handed: Path, *, writes: bool) -> None:
    _see_one_gpu(int(os.environ["LOCAL_RANK"]))
    import torch
    import torch.distributed as dist

    from pipeline.learning.ranks import Ranks

    given: Handed = pickle.loads(handed.read_bytes())
    if given.torch != torch.__version__:
        raise StageError(f"this machine has torch {torch.__version__}, the first one {given.torch}; install the same")
    device = given.place.enter().torch_device()
    course = dataclasses.replace(given.course, train=functools.partial(given.course.train, device=device))
    dist.init_process_group("nccl" if given.place.device == "cuda" else "gloo")
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    (course.walk if writes else course.follow)(ranks)
    dist.destroy_process_group()


def _see_one_gpu(number: int) -> None:
    """Each rank has a GPU of its own, and to it that is the only one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    own = visible.split(",") if visible else []
    os.environ["CUDA_VISIBLE_DEVICES"] = own[number] if number < len(own) else str(number)


if __name__ == "__main__":
    main(*sys.argv[1:])
