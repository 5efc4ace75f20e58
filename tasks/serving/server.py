"""The yes/no page is served to this computer alone, until Ctrl-C or the page's own button ends it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from threading import Event

import uvicorn

from tasks.core.errors import SettingsError
from tasks.intake.answers import AnswerStore
from tasks.serving.app import Page, app_of
from tasks.serving.asked import Asked, Photos, Queue
from tasks.serving.guard import Guard

__all__ = ["Asked", "Photos", "serve"]

HOST = "127.0.0.1"
CONNECTIONS = 64  # a browser holds six
KEPT_OPEN_S = 75  # longer than a look at a photo
LAST_WORDS_S = 3  # for requests that run while it ends


def serve(
    asked: Sequence[Asked],
    photos: Photos,
    store: AnswerStore,
    *,
    port: int,
    title: str,
    next_command: str,
    ready: Callable[[str], None],
) -> None:
    """Blocks until the user is done; `ready` is told the address, token and all, once it listens; port 0: any free."""
    page = Page(Queue(asked), photos, store, title, next_command)
    store.answers()  # a file that is no file of answers is told before anything is shown
    with _listening(port) as listener:
        bound: int = listener.getsockname()[1]
        token = secrets.token_urlsafe(32)
        config = uvicorn.Config(
            Guard(app_of(page), token, bound),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEPT_OPEN_S,
            timeout_graceful_shutdown=LAST_WORDS_S,
        )
        server = _Server(config, page.over, lambda: ready(f"http://{HOST}:{bound}/{token}/"))
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises again once all is closed
            server.run(sockets=[listener])


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= 65535:
        raise SettingsError(f"{port} is no port; allowed are 0 (any free one) to 65535")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise SettingsError(f"port {port} cannot be had ({why}); name another one, or 0 for any free one") from None
        yield listener


class _Server(uvicorn.Server):
    """Tells when it listens, and ends when the page says so."""

    def __init__(self, config: uvicorn.Config, over: Event, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._over, self._tell = over, tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        await asyncio.to_thread(self._tell)  # whoever is told may ask at once

    async def on_tick(self, counter: int) -> bool:
        return self._over.is_set() or await super().on_tick(counter)
