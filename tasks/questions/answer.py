"""Answer: opens the page that asks of one photo after another whether there is a crack; the most doubtful first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.knobs import AnswerKnobs, DatasetKnobs, PredictionsKnobs, PredictKnobs
from tasks.core import child, console, files, parameters
from tasks.core.engines.choice import workers_of
from tasks.core.errors import SettingsError
from tasks.core.files import Json
from tasks.core.parameters import give_knobs, given, name_of
from tasks.core.question import Question
from tasks.core.settings import answers_file, outputs_folder
from tasks.dataset import Dataset
from tasks.intake import photo_decoding
from tasks.intake.answers import AnswerStore
from tasks.photos.looking import Look, LookJob
from tasks.photos.network import AskedNetwork, of_stage, the_starter
from tasks.photos.photo_folder import FoundPhoto, PhotoFolder, photo_folder
from tasks.predictions import Predictions
from tasks.questions.predict import asked_stage
from tasks.serving.asked import Asked

LOOKS = ".looks.json"
Looks = dict[str, list[Json]]  # a photo's name → by what it was looked at, and what was seen: [tile, answer] of each
_ID_CHARS = 32


class Answer(Question):
    """`luigi --module tasks Answer --dataset bridge`; the answers lie beside its settings file, one line each."""

    address_file = name_of("a file that the page's address is written to, for a script; '' = none")

    def settle(self) -> None:
        rules = self.experiment.resolve(DatasetKnobs)
        if rules.layout != "answers":
            raise SettingsError(
                f'[Dataset] layout of {self.dataset} is "{rules.layout}", whose answers lie in its folder; the page '
                'asks for those of the layout "answers"'
            )

    @cached_property
    def knobs(self) -> AnswerKnobs:
        return self.experiment.resolve(AnswerKnobs, given(self, AnswerKnobs))

    @cached_property
    def folder(self) -> PhotoFolder:
        return photo_folder(self.sibling(Dataset).source.place(), f"[Dataset] root of {self.dataset}:")

    def network(self) -> AskedNetwork:
        """The data set's own, once it is trained."""
        stage = asked_stage(self.experiment)
        return of_stage(stage) if stage.complete() else the_starter()

    def answer(self) -> None:
        from tasks.serving.server import serve

        store, network = AnswerStore(answers_file(self.dataset)), self.network()
        console.say("Answer", f"{len(self.folder.photos):,} photos; {network.called} decides what is asked first")
        looks = self._looks(network)
        asked = asked_of(looks, self.knobs.tiles)
        rules, quality = self.experiment.resolve(DatasetKnobs), self.experiment.resolve(PredictKnobs).jpeg_quality
        pictures = Pictures(self.folder, {one.id: one for one in asked}, rules, quality)
        following = f"luigi --module tasks RunAll --dataset {self.dataset}"
        serve(
            asked,
            pictures,
            store,
            port=self.knobs.port,
            title=self.dataset,
            next_command=following,
            ready=self._ready,
        )
        given_so_far = list(store.answers().values())
        counts = ", ".join(f"{given_so_far.count(each):,} {words}" for each, words in _WORDS.items())
        print(f"{store.path}: {counts}\nnext: {following}", flush=True)

    def _ready(self, address: str) -> None:
        if self.address_file:
            files.write_text(Path(self.address_file), address)
        print(f"open {address}\nCtrl-C ends it; every answer is saved at once", flush=True)

    def _looks(self, network: AskedNetwork) -> list[Look]:
        """Remembered from the last time the same network looked at the same file."""
        said = parameters.told(Predictions, PredictionsKnobs)
        predictions, knobs = self.experiment.resolve(PredictionsKnobs, said), self.experiment.resolve(PredictKnobs)
        how = [network.sha256, self.knobs.whole_px, self.knobs.tile_px, self.knobs.look_px, knobs.doubt_px]
        path = outputs_folder() / "answers" / self.dataset / LOOKS
        known = {name: facts for name, facts in _read(path).items() if facts[:-1] == [*how, *_facts(self._of(name))]}
        job = LookJob(network, self.experiment.resolve(DatasetKnobs), predictions, self.knobs, knobs)
        todo = [photo for photo in self.folder.photos if photo.name not in known]

        def compute() -> None:
            with console.Progress("Answer", "photos", "looks at  ") as progress:
                steps = workers_of(self.execution, networks=True).map(job, todo)
                for number, (photo, looks) in enumerate(zip(todo, steps, strict=True), start=1):
                    known[photo.name] = [*how, *_facts(photo), [[look.tile, look.answer] for look in looks]]
                    progress(number, len(todo))
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_json(path, known)

        if todo:
            child.run_in_child("Answer", compute, self.execution.time_limit_s)
        return list(_looks_in(_read(path)))

    def _of(self, name: str) -> FoundPhoto | None:
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, FoundPhoto]:
        return {photo.name: photo for photo in self.folder.photos}


_WORDS = {"crack": "with a crack", "no_crack": "without", "skip": "skipped"}


def _facts(photo: FoundPhoto | None) -> list[object]:
    if photo is None:
        return ["gone"]
    status = photo.path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read(path: Path) -> Looks:
    try:
        found: Looks = files.read_json(path)
    except (OSError, ValueError):
        return {}
    return found


def _looks_in(known: Looks) -> Iterator[Look]:
    for name, facts in sorted(known.items()):
        for tile, answer in facts[-1]:
            yield Look(name, tuple(tile) if tile else None, answer)


def asked_of(looks: Sequence[Look], tiles: int) -> list[Asked]:
    """Of every photo at most so many tiles, those in most doubt."""
    from pipeline.ops.doubts import doubt_of

    by_photo: dict[str, list[Asked]] = {}
    for look in looks:
        digest = hashlib.sha256(f"{look.name}\0{look.tile}".encode("utf-8", "surrogateescape")).hexdigest()
        one = Asked(digest[:_ID_CHARS], look.name, look.tile, doubt_of(look.answer), look.answer)
        by_photo.setdefault(look.name, []).append(one)
    kept = (sorted(each, key=lambda one: -one.doubt)[:tiles] for each in by_photo.values())
    return [one for each in kept for one in each]


@dataclass(frozen=True)
class Pictures:
    """The photos of the page, by id alone."""

    folder: PhotoFolder
    asked: dict[str, Asked]
    rules: DatasetKnobs
    quality: int

    def jpeg(self, id: str, longest: int) -> bytes:
        from pipeline.drawing.overlays import shrunk

        one = self.asked[id]
        image = photo_decoding.load_image(self.folder.place / one.name, self.rules, one.tile)
        return files.jpeg(shrunk(image, longest), self.quality)


give_knobs(Answer, AnswerKnobs)
