"""The page's requests: what is asked next, its picture, an answer, undo, the skipped ones again, done."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tasks.core.errors import HairlineError
from tasks.intake.answers import AnswerStore, Key
from tasks.serving.asked import UNDONE, Asked, Photos, Queue

GIVEN = ("crack", "no_crack", "skip")  # what a user can press
AHEAD = 4  # the one on screen and three that are fetched meanwhile
LONGEST_PX = {"": 1600, "/large": 4096}  # on screen; under the loupe
PAGE = Path(__file__).with_name("page.html")
NONCE = "{{nonce}}"

Told = dict[str, object]


@dataclass(frozen=True)
class Page:
    """What the page can ask for; each method answers one request, in a thread of its own."""

    queue: Queue
    photos: Photos
    store: AnswerStore
    title: str
    next_command: str
    over: Event = field(default_factory=Event)
    _one_picture: Lock = field(default_factory=Lock)  # a photo of 100 megapixels is decoded alone

    def html(self, request: Request) -> Response:
        return HTMLResponse(PAGE.read_text(encoding="utf-8").replace(NONCE, request.state.nonce))

    def picture(self, request: Request, longest: int) -> Response:
        one = self._one(request.path_params["id"])
        try:
            with self._one_picture:
                content = self.photos.jpeg(one.id, longest)
        except (HairlineError, OSError, ValueError) as error:
            return _error(422, f"{one.name} cannot be shown ({error}); skip it")
        return Response(content, media_type="image/jpeg")

    def state(self, request: Request) -> Response:
        return JSONResponse(self._told())

    def answer(self, request: Request) -> Response:
        sent = _sent(request, {"id", "answer"})
        one, given = self._one(sent["id"]), sent["answer"]
        if given not in GIVEN:
            return _error(400, f"there is no such answer; allowed are {', '.join(GIVEN)}")
        before = self.store.answers().get(one.key, UNDONE)
        self.store.append(*one.key, str(given))
        return JSONResponse({**self._told(), "before": before})

    def undo(self, request: Request) -> Response:
        one = self._one(_sent(request, {"id"})["id"])
        if self.store.answers().get(one.key, UNDONE) != UNDONE:
            self.store.append(*one.key, UNDONE)
        told = self._told()
        return JSONResponse({**told, "item": self._item(one, self.store.answers())})

    def again(self, request: Request) -> Response:
        """What was skipped is asked once more."""
        _sent(request, set())
        for one in self.queue.answered_so(self.store.answers(), "skip"):
            self.store.append(*one.key, UNDONE)
        return JSONResponse(self._told())

    def done(self, request: Request) -> Response:
        _sent(request, set())
        self.over.set()
        return JSONResponse(self._told())

    def _one(self, id: object) -> Asked:
        one = self.queue.find(id)
        if one is None:
            raise HTTPException(404, "nothing with this id is asked; reload the page")
        return one

    def _told(self) -> Told:
        answers = self.store.answers()
        last = self.queue.last(answers)
        return {
            "title": _sendable(self.title),
            "next_command": _sendable(self.next_command),
            "total": len(self.queue.ordered),
            "counts": {given: len(self.queue.answered_so(answers, given)) for given in GIVEN},
            "items": [self._item(one, answers) for one in self.queue.unanswered(answers, AHEAD)],
            "last": last.id if last else None,
        }

    def _item(self, one: Asked, answers: Mapping[Key, str]) -> Told:
        tiles = [[*other.tile, answers.get(other.key, UNDONE)] for other in self.queue.beside(one) if other.tile]
        return {
            "id": one.id,
            "name": _sendable(one.name),
            "tile": one.tile,
            "tiles": tiles if one.tile else [],
            "hint": None if math.isnan(one.hint) else one.hint,
        }


def app_of(page: Page) -> Starlette:
    """Its routes begin behind the token, which the guard has taken off."""

    def post(path: str, answer: Callable[[Request], Response]) -> Route:
        return Route(path, _checked(answer), methods=["POST"])

    return Starlette(
        routes=[
            Route("/", page.html),
            Route("/state", _checked(page.state)),
            *(Route(f"/photo/{{id}}{end}", _picture(page, px)) for end, px in LONGEST_PX.items()),
            post("/answer", page.answer),
            post("/undo", page.undo),
            post("/again", page.again),
            post("/done", page.done),
        ],
        exception_handlers={HTTPException: _told_why},
    )


def _picture(page: Page, longest: int) -> Callable[[Request], Response]:
    return lambda request: page.picture(request, longest)


def _checked(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """A disk that is full, or a file of answers that somebody damaged, is told on the page."""

    def told(request: Request) -> Response:
        try:
            return answer(request)
        except HairlineError as error:
            return _error(500, str(error))
        except OSError as error:
            return _error(500, f"{error.filename or 'the file of answers'}: {(error.strerror or str(error)).lower()}")

    return told


def _sent(request: Request, names: set[str]) -> Told:
    """A JSON object with exactly these names."""
    try:
        sent = json.loads(request.state.body)
    except (ValueError, RecursionError):
        sent = None
    if not isinstance(sent, dict) or set(sent) != names:
        raise HTTPException(400, f"the body is no JSON object of {sorted(names)}; reload the page")
    return sent


def _told_why(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _error(status, error.detail if isinstance(error, HTTPException) else str(error))


def _error(status: int, why: str) -> Response:
    return JSONResponse({"error": _sendable(why)}, status)


def _sendable(text: str) -> str:
    """A file's name may be no UTF-8; what cannot be shown becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
