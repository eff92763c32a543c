"""Options that several commands take, written once: a function of options fills one parameter of each command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

__all__ = ["filled_from"]


def filled_from(parameter: str, options: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates commands: the options that `options` takes become theirs, and what it returns is their `parameter`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        """The command with those options in place of the parameter that is filled from them."""
        own, shared = inspect.signature(command), inspect.signature(options)
        names = set(shared.parameters)

        def run(**arguments: Any) -> None:
            filled = options(**{name: value for name, value in arguments.items() if name in names})
            rest = {name: value for name, value in arguments.items() if name not in names}
            command(**rest, **{parameter: filled})

        kept = [each for name, each in own.parameters.items() if name != parameter]
        hints = {**get_type_hints(options, include_extras=True), **get_type_hints(command, include_extras=True)}
        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
            for each in (*kept, *shared.parameters.values())
        ]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate
