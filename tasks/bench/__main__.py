"""`make bench`, on generated photos: does feeding the networks keep up with them? How fast are pseudo labels?"""

from __future__ import annotations

import argparse
import dataclasses

from pipeline.knobs import ExecutionKnobs
from tasks.bench import labels, training
from tasks.core.settings import Experiment
from tasks.core.workers import Place, place_of


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
    experiment = Experiment(asked.dataset, asked.recipe)
    place = place_of(experiment.resolve(ExecutionKnobs))
    place = dataclasses.replace(place, threads=asked.threads or place.threads).enter()
    print(f"training speed on {where(place)}, {asked.rounds} rounds of {asked.steps} steps, medians")
    print(f"{'':<34} {'hairline':>10} {'bare loop':>10} {'ratio':>6}")
    bench = training.Bench(experiment, place.torch_device(), asked.rounds, asked.steps)
    for name, comparison in bench.comparisons(asked.segmenters):
        print(f"{name:<34} {comparison.ours:>8.1f}/s {comparison.bare:>8.1f}/s {comparison.ratio:>6.2f}", flush=True)
    if asked.photos:
        print("\n" + labels.threshold_report(experiment, asked.photos), flush=True)
        place = dataclasses.replace(place, threads=1).enter()
        for line in labels.report(experiment, asked.arch, asked.photos, place.torch_device()):
            print(line, flush=True)
        for variant in ("", "thin", "wide"):
            best = Experiment(asked.dataset, "best", variant)
            for line in labels.answers_report(best, asked.photos, place.torch_device()):
                print(line, flush=True)


def where(place: Place) -> str:
    import torch

    if place.device == "cuda":
        return str(torch.cuda.get_device_name())
    return f"the CPU with {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
