"""The page's server: its own few files, and questions and decisions as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from guard.bundle import Bundle
from guard.errors import GuardError, WrongUse
from guard.review.decision import checked_words
from guard.review.desk import Wish
from guard.review.filters import Filter
from guard.review.held import Held
from guard.review.listing import as_row
from guard.review.pending import Pending
from guard.review.quarantine import Quarantine
from guard.review.queue import Order
from guard.review.statistics import expiring
from guard.review.web.access import Access
from guard.review.web.questions import Decide, Question, asked_filter, parse_decide, whole
from guard.review.web.view import details, kind_of, marks, picture, trusted_picture

__all__ = ["FILES", "ReviewPage"]

_STATIC = Path(__file__).with_name("static")
FILES = {
    "/": "page.html",
    **{f"/{path.name}": path.name for path in sorted(_STATIC.iterdir()) if path.suffix != ".html"},
}
"""What the browser loads: paths and names of files beside this one."""

_PAGE_ROWS = 100
_MOST_MARKED = 20
_LARGEST_BATCH = 10_000
_SHOWN_REFUSALS = 5
_PERIOD_SECONDS = 1.0


class ReviewPage:
    """One reviewer's page over one quarantine. `bundle` explains what is held; None: it is shown as text."""

    def __init__(
        self,
        quarantine: Quarantine,
        access: Access,
        reviewer: str,
        bundle: Bundle | None,
        tell: Callable[[str], object],
    ) -> None:
        self._quarantine = quarantine
        self._access = access
        self._reviewer = reviewer
        self._bundle = bundle
        self._tell = tell
        self._closing = asyncio.Event()
        self.pending = Pending(quarantine)
        self._fault = ""

    def app(self) -> Starlette:
        """The application, with its work in the background."""
        asked = {
            **dict.fromkeys(FILES, self._file),
            "/api/session": self._session,
            "/api/queue": self._queue,
            "/api/record": self._record,
            "/api/marks": self._marks,
            "/api/groups": self._groups,
            "/api/log": self._log,
            "/picture": self._picture,
            "/enter": self._access.enter,
            "/favicon.ico": _nothing,
        }
        told = {"/api/decide": self._decide, "/api/undo": self._undo}
        routes = [Route(path, answer) for path, answer in asked.items()]
        routes += [Route(path, answer, methods=["POST"]) for path, answer in told.items()]
        return Starlette(
            routes=routes,
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=self._access.guard)],
            exception_handlers={WrongUse: _wrong, GuardError: _failed, HTTPException: _refused},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        work = asyncio.create_task(self._keep_up())
        try:
            yield
        finally:
            self._closing.set()
            await work
            await self._close()

    async def _close(self) -> None:
        """Write what waits; say so when it cannot be."""
        try:
            await self.pending.write_all()
        except GuardError as error:
            self._tell(f"{self.pending.waiting} decisions were not written: {error}")

    async def _keep_up(self) -> None:
        """Write what is due, and read what has come, once a second; never cut off in the middle of a transaction."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _PERIOD_SECONDS)
            await self.pending.write_due()
            try:
                await self._quarantine.refresh()
                self._fault = ""
            except GuardError as error:
                self._fault = str(error)

    async def _file(self, request: Request) -> Response:
        return FileResponse(_STATIC / FILES[request.url.path])

    async def _session(self, _: Request) -> Response:
        desk, refused = self._quarantine.desk, list(self.pending.refused)[-_SHOWN_REFUSALS:]
        return _json(
            {
                "token": self._access.csrf,
                "reviewer": self._reviewer,
                "title": self._quarantine.title,
                "kind": kind_of(self._bundle),
                "counts": desk.queue.counts(desk.queue.find(Filter(state="all"))),
                "decisions": len(desk.ledger),
                "waiting": self.pending.waiting,
                "done": self.pending.done,
                "refused": [{"origin": one.wish.held.origin, "why": one.objection} for one in refused],
                "fault": self.pending.fault or self._fault,
                "expiring": expiring(self._quarantine, time.time()),
                "lost": self._quarantine.retention.lost,
                "disbelieved": desk.ledger.disbelieved.total(),
                "disputed": len(desk.queue.disputed),
            }
        )

    async def _queue(self, request: Request) -> Response:
        asked, queue = Question.of(request), self._quarantine.desk.queue
        numbers, waits = self._numbers(asked.chosen, asked.order), self.pending.origins
        shown = queue.take(numbers[asked.first : asked.first + _PAGE_ROWS])
        rows = [{**as_row(self._quarantine, held), "pending": waits.get(held.origin)} for held in shown]
        return _json({"count": len(numbers), "first": asked.first, "rows": rows})

    async def _record(self, request: Request) -> Response:
        held = self._held(request.query_params.get("origin", ""))
        (record,) = await self._quarantine.records([held])
        found = await asyncio.to_thread(details, record, self._bundle)
        about = self._quarantine.desk.ledger.about(held.origin)
        decisions = [{name: str(getattr(one, name)) for name in ("action", "reviewer", "time", "why")} for one in about]
        waits = self.pending.origins.get(held.origin)
        return _json({**as_row(self._quarantine, held), "pending": waits, "decisions": decisions, **found})

    async def _marks(self, request: Request) -> Response:
        asked = [self._held(origin) for origin in request.query_params.getlist("origin")[:_MOST_MARKED]]
        records = await self._quarantine.records(asked)
        found = await asyncio.to_thread(lambda: [marks(record, self._bundle) for record in records])
        return _json({held.origin: marked for held, marked in zip(asked, found, strict=True)})

    async def _picture(self, request: Request) -> Response:
        trusted, bundle = request.query_params.get("trusted"), self._bundle
        if bundle is None:
            raise HTTPException(404)
        if trusted is not None:
            found = trusted_picture(bundle, whole(trusted))
        else:
            (record,) = await self._quarantine.records([self._held(request.query_params.get("origin", ""))])
            found = await asyncio.to_thread(picture, record, bundle)
        if found is None:
            raise HTTPException(404)
        return Response(found, media_type="image/png")

    async def _groups(self, request: Request) -> Response:
        asked = Question.of(request)
        groups = self._quarantine.desk.queue.groups(asked.by, self._numbers(asked.chosen))
        shown = groups[asked.first : asked.first + _PAGE_ROWS]
        return _json({"count": len(groups), "first": asked.first, "rows": [asdict(group) for group in shown]})

    async def _log(self, request: Request) -> Response:
        log, first = self._quarantine.desk.ledger.log, Question.of(request).first
        end = max(0, len(log) - first)
        rows = [
            {name: str(getattr(one, name)) for name in ("time", "action", "reviewer", "why", "origin")}
            for one in reversed(log[max(0, end - _PAGE_ROWS) : end])
        ]
        return _json({"count": len(log), "first": first, "rows": rows})

    async def _decide(self, request: Request) -> Response:
        asked = await parse_decide(request)
        _, why = checked_words(self._reviewer, asked.why)
        wishes = [Wish(held, asked.action, self._reviewer, why) for held in self._meant(asked)]
        objections = [one.objection for one in self._quarantine.desk.plan(wishes)[1]] if len(wishes) == 1 else []
        if objections:
            raise WrongUse(str(objections[0]))
        return _json({"taken": self.pending.add(wishes), "seconds": self.pending.seconds})

    async def _undo(self, _: Request) -> Response:
        wishes = self.pending.undo()
        return _json({"undone": len(wishes), "origin": wishes[0].held.origin if wishes else None})

    def _meant(self, asked: Decide) -> list[Held]:
        queue = self._quarantine.desk.queue
        if asked.origin is not None:
            held = queue.get(asked.origin)
            if held is None:
                raise WrongUse("this record is not held, or not any more")
            return [held]
        numbers = self._numbers(asked_filter(asked.filter or {}))
        if len(numbers) != asked.count:
            raise WrongUse(f"the choice has changed: it is {len(numbers)} records now. Look again before you decide")
        if len(numbers) > _LARGEST_BATCH:
            raise WrongUse(f"{len(numbers)} records are too many at once; narrow the choice to {_LARGEST_BATCH}")
        return queue.take(numbers)

    def _numbers(self, chosen: Filter, order: Order = "arrival") -> NDArray[np.int64]:
        """What a filter chooses. What waits to be decided has left its state already; only `all` still shows it."""
        queue, within = self._quarantine.desk.queue, chosen.expiring or 0.0
        before = self._quarantine.retention.expire_before(within, time.time())
        found = queue.find(chosen, order, expire_before=before)
        return found if chosen.state == "all" else queue.without(found, self.pending.origins)

    def _held(self, origin: str) -> Held:
        held = self._quarantine.desk.queue.get(origin)
        if held is None:
            raise HTTPException(404)
        return held


async def _nothing(_: Request) -> Response:
    return Response(status_code=204)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _wrong(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 409)


async def _failed(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 503)


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _json({"error": "it is not held" if status == 404 else "not understood"}, status)
