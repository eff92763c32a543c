"""`depois review`: the page on which a person reviews what is held."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["review"]


def review(
    *,
    config: Annotated[
        Path | None,
        typer.Option(help="The guard on Kafka, by its settings; else the environment's.", metavar="GUARD.TOML"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Instead of Kafka: a folder that `depois filter` wrote.", metavar="DIR")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="The bundle that explains; with --config, else the settings'.", metavar="BUNDLE")
    ] = None,
    reviewer: Annotated[
        str | None,
        typer.Option(help="Who decides; else the Kafka user, else the user of this machine.", metavar="NAME"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on this machine; 0: any that is free.")] = 0,
) -> None:
    """Serve the review page on this machine alone, and print the link to it, which works once. Ctrl-C ends it.

    To use it from another machine, forward the port: ssh -L 8080:127.0.0.1:PORT, with the same port on both sides.

    Example: depois review --folder judged --bundle bundle
    """
    from guard.review.decision import checked_words
    from guard.review.opening import reviewer_name
    from guard.review.web.serve import serve

    name, _ = checked_words(reviewer_name(reviewer, config, folder), "opens the page")
    serve(config, folder, bundle, name, port, typer.echo)
