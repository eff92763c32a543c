"""Runs the review page over a quarantine until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from guard.bundle import Bundle, load_bundle
from guard.errors import GuardError
from guard.review.opening import with_quarantine
from guard.review.quarantine import Quarantine
from guard.review.web.access import Access
from guard.review.web.app import ReviewPage

__all__ = ["serve"]

_HOST = "127.0.0.1"
_CLOSE_SECONDS = 5


def serve(
    config: Path | None,
    folder: Path | None,
    bundle: Path | None,
    reviewer: str,
    port: int,
    tell: Callable[[str], object],
) -> None:
    """Serves until SIGINT or SIGTERM; decisions that wait then are written first. `tell` is given the link.

    Raises GuardError, BundleRefused, WrongUse.
    """
    model = _bundle(config, folder, bundle)
    listener = _listen(port)

    async def work(quarantine: Quarantine) -> None:
        access = Access(listener.getsockname()[1])
        page = ReviewPage(quarantine, access, reviewer, model, tell)
        settings = uvicorn.Config(
            page.app(),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_CLOSE_SECONDS,
            lifespan="on",
        )
        tell(f"{reviewer} reviews {quarantine.title}. Open this link; it works once:\n{access.address}")
        await uvicorn.Server(settings).serve(sockets=[listener])

    try:
        with_quarantine(config, folder, work)
    except KeyboardInterrupt:
        return


def _bundle(config: Path | None, folder: Path | None, bundle: Path | None) -> Bundle | None:
    """The bundle that explains: the one that is named, or that of the guard's settings; none for a folder."""
    if bundle is not None or folder is not None:
        return None if bundle is None else load_bundle(bundle, threads=1)
    from guard.stream.settings import load_settings

    return load_bundle(load_settings(config).model.bundle, threads=1)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as error:
        raise GuardError(f"{_HOST}:{port} cannot be listened at ({error.strerror}); name another --port") from error
