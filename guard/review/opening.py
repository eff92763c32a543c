"""From the words on a command line to an open quarantine, and the name of who works at it."""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from guard.errors import WrongUse
from guard.review.quarantine import Quarantine

__all__ = ["machine_user", "reviewer_name", "with_quarantine"]


def with_quarantine(config: Path | None, folder: Path | None, work: Callable[[Quarantine], Awaitable[None]]) -> None:
    """Runs `work` on the quarantine in `folder`, or on that of the guard with the settings `config`.

    Raises WrongUse when both are named, and what the quarantine raises.
    """
    if folder is not None:
        if config is not None:
            raise WrongUse("name either --folder or --config: a folder of `depois filter`, or a guard on Kafka")
        asyncio.run(_in_folder(folder, work))
    else:
        _on_kafka(config, work)


def reviewer_name(given: str | None, config: Path | None, folder: Path | None) -> str:
    """Who decides: the name that is given, else the Kafka user, else the user of this machine."""
    if given is not None:
        return given
    if folder is None:
        from guard.stream.settings import load_settings

        if name := load_settings(config).kafka.username:
            return name
    return machine_user("--reviewer")


def machine_user(option: str) -> str:
    """The user of this machine. Raises WrongUse, which tells to use `option`, where there is none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise WrongUse(f"nobody says who decides; name yourself with {option}") from error


async def _in_folder(folder: Path, work: Callable[[Quarantine], Awaitable[None]]) -> None:
    from guard.review.folder import FolderQuarantine

    quarantine = FolderQuarantine(folder)
    await quarantine.refresh()
    await work(quarantine)


def _on_kafka(config: Path | None, work: Callable[[Quarantine], Awaitable[None]]) -> None:
    from guard.review.topic_quarantine import Survey, TopicQuarantine, survey
    from guard.stream.settings import load_settings

    for client in ("kafka", "aiokafka"):
        logging.getLogger(client).addHandler(logging.NullHandler())  # what they tell stands in the error
        logging.getLogger(client).propagate = False

    async def run(found: Survey) -> None:
        quarantine = TopicQuarantine(found)
        try:
            await quarantine.open()
            await work(quarantine)
        finally:
            await quarantine.close()

    asyncio.run(run(survey(load_settings(config))))
