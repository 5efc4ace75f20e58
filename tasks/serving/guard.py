"""Who may ask the page's server what; anything else is refused before it is looked at."""

from __future__ import annotations

import asyncio
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 4096  # an answer has about 60
BODY_SECONDS = 10.0  # for one that trickles in
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_ONCE = ("host", "origin", "content-type", "content-length")  # said twice, they are a trick


class RefusedError(Exception):
    """A request that has no effect: its status, and why in one sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Guard:
    """Stands before the app: token, host, origin, type and size are right, or the app never hears of it."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token.encode()
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        nonce = secrets.token_urlsafe(16)
        safely = _Sealed(send, nonce)
        try:
            headers = Headers(scope=scope)
            self._check_sender(scope, headers)
            path = self._path(scope)
            body = await _body(scope, headers, receive)
        except RefusedError as refused:
            await JSONResponse({"error": str(refused)}, refused.status)(scope, receive, safely)
            return
        state = {**scope.get("state", {}), "nonce": nonce, "body": body}
        await self._app({**scope, "path": path, "raw_path": path.encode(), "state": state}, receive, safely)

    def _check_sender(self, scope: Scope, headers: Headers) -> None:
        """A page from elsewhere shows itself by Host (a name bent to this computer), Origin or Sec-Fetch-Site."""
        if any(len(headers.getlist(name)) > 1 for name in _ONCE):
            raise RefusedError(400, "a header was given twice; give it once")
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            raise RefusedError(
                403, f"{host[:80]!r} is not this server; open http://{self._hosts[0]}/… (a tunnel keeps the port)"
            )
        if origin is not None and origin != f"http://{host}":
            raise RefusedError(403, "another page may not ask; open the address that the command printed")
        visits = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if not visits and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise RefusedError(403, "another page may not ask; open the address that the command printed")

    def _path(self, scope: Scope) -> str:
        """What follows the token; nothing that is asked for here needs an encoded letter or a question mark."""
        raw: bytes = scope.get("raw_path") or b""
        before, _, rest = raw[1:].partition(b"/")
        known = secrets.compare_digest(before, self._token)
        if not (known and raw == b"/%b/%b" % (before, rest)):
            raise RefusedError(404, "there is nothing here; open the address that the command printed, token and all")
        if scope["path"].encode() != raw or scope["query_string"]:
            raise RefusedError(404, "there is no such thing here; go back to the page")
        return f"/{rest.decode('ascii')}"


async def _body(scope: Scope, headers: Headers, receive: Receive) -> bytes:
    """Read only where one belongs, and never more than a little."""
    size = headers.get("content-length", "0")
    if scope["method"] not in ("GET", "HEAD", "POST"):
        raise RefusedError(405, f"{scope['method'][:20]} is not allowed; GET and POST are")
    if not (size.isascii() and size.isdigit()):
        raise RefusedError(400, "the length of the body is no number; say how many bytes follow")
    if int(size) > BODY_BYTES:
        raise RefusedError(413, f"the body has {size} bytes; at most {BODY_BYTES} are allowed")
    if scope["method"] != "POST":
        if size != "0" or "transfer-encoding" in headers:
            raise RefusedError(400, f"{scope['method']} has a body; only POST may have one")
        return b""
    if headers.get("content-type", "").replace(" ", "").lower() not in _JSON:
        raise RefusedError(415, "the body is not application/json; send JSON")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(receive)
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {BODY_SECONDS:.0f} s; send it again") from None


_JSON = ("application/json", "application/json;charset=utf-8")


async def _read(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusedError(400, "the body broke off; send it again")
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            raise RefusedError(413, f"the body is too long; at most {BODY_BYTES} bytes are allowed")
        if not message.get("more_body", False):
            return body


class _Sealed:
    """Sends with the headers that keep the page to itself; after an error the connection ends, whatever still comes."""

    def __init__(self, send: Send, nonce: str) -> None:
        self._send = send
        self._policy = (
            f"default-src 'none'; img-src 'self' data:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update({**HEADERS, "content-security-policy": self._policy})
            if message["status"] >= 400:
                headers["connection"] = "close"
        await self._send(message)
