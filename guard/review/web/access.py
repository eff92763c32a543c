"""Who may use the page: whoever has the one-time token that the command printed, from this machine, from this page.

* The token is taken once and becomes a cookie that no script can read and no other site can send.
* The `Host` must be this machine's name and port: a name of somebody else's that leads here (DNS rebinding) is refused.
* What changes anything must come from this page: it names its `Origin`, and repeats a second token that only a page of
  this origin can have read.
* The page may load nothing but its own files, and no script or style stands in its text: what a sample holds cannot
  become code even where it would be shown wrongly.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from hmac import compare_digest

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

__all__ = ["CSRF_HEADER", "HEADERS", "Access"]

CSRF_HEADER = "x-review-token"
_TOKEN_BYTES = 32

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""On every answer."""

_Next = Callable[[Request], Awaitable[Response]]


class Access:
    """The gate in front of the page on one port of this machine."""

    def __init__(self, port: int) -> None:
        self._token: str | None = secrets.token_urlsafe(_TOKEN_BYTES)
        self._session = secrets.token_urlsafe(_TOKEN_BYTES)
        self.csrf = secrets.token_urlsafe(_TOKEN_BYTES)
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._cookie = f"depois-review-{port}"  # a browser keeps cookies by name of host, not by port
        self.address = f"http://127.0.0.1:{port}/enter?token={self._token}"

    async def guard(self, request: Request, call_next: _Next) -> Response:
        """Answer only who may ask; every answer carries `HEADERS`."""
        response = self._refusal(request) or await call_next(request)
        response.headers.update(HEADERS)
        return response

    async def enter(self, request: Request) -> Response:
        """Take the one-time token, and let in."""
        given, token = request.query_params.get("token", ""), self._token
        if token is None or not compare_digest(given.encode(), token.encode()):
            return PlainTextResponse("This link was used, or is not right. Start `depois review` again.", 403)
        self._token = None
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._session, httponly=True, samesite="strict", path="/")
        return answer

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "") not in self._hosts:
            return PlainTextResponse("Open the address that `depois review` printed.", 421)
        if request.url.path == "/enter":
            return None
        if not compare_digest(request.cookies.get(self._cookie, "").encode(), self._session.encode()):
            return PlainTextResponse("Open the link that `depois review` printed; it works once.", 403)
        return None if request.method in ("GET", "HEAD") else self._forgery(request)

    def _forgery(self, request: Request) -> Response | None:
        """A request that changes something must be the page's own."""
        own = request.headers.get("origin") == f"http://{request.headers['host']}"
        known = compare_digest(request.headers.get(CSRF_HEADER, "").encode(), self.csrf.encode())
        return None if own and known else JSONResponse({"error": "this request did not come from the page"}, 403)
