"""The guard's log on standard error: one JSON object or one line of text per event, and no floods.

Libraries speak from WARNING on only, whatever the level: at DEBUG, Faust writes keys and values of records and
kafka-python its whole configuration. A failure that the guard raises on purpose is told once, without a traceback.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import MutableMapping
from typing import Any

import structlog

from guard.errors import GuardError
from guard.stream.settings import LogSettings

__all__ = ["FRAMEWORK_LOGGER", "Throttle", "configure_logging"]

FRAMEWORK_LOGGER = logging.getLogger("faust.guard")
"""What Faust says of its services that are subclassed here; it would say it in the guard's own name."""


_OWN = "guard"
_BURST = 5
_PERIOD_SECONDS = 10.0
"""While a broker is down, aiokafka writes ten lines per second, and a log of gigabytes over a night."""

_Event = MutableMapping[str, Any]


class Throttle(logging.Filter):
    """Lets each message of a library pass `_BURST` times in a period, and says how many it held back after it."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what was said too often; the guard's own events always pass."""
        if record.name.partition(".")[0] == _OWN:
            return True
        now, key = time.monotonic(), (record.name, str(record.msg)[:80])
        since, count = self._seen.get(key, (now, 0))
        if now - since > _PERIOD_SECONDS:
            if count > _BURST:
                record.msg = f"{record.msg} (and {count - _BURST} more like it in {now - since:.0f} s)"
            since, count = now, 0
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[key] = (since, count + 1)
        return count < _BURST


class _Once(logging.Filter):
    """Faust tells a crash at each level of its services; ours say all in one line, which is enough once."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        error = _purposeful(record.exc_info[1]) if record.exc_info else None
        if error is None:
            return True
        record.exc_info, record.args, record.msg = None, (), str(error)
        if record.msg in self._told:
            return False
        self._told.add(record.msg)
        return True


def configure_logging(settings: LogSettings) -> None:
    """Sends all loggers of this process to standard error, as `settings` say."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Once())
    handler.addFilter(Throttle())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OWN).setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)


def _rendering(settings: LogSettings) -> list[Any]:
    if settings.format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    # A traceback that shows variables would show passwords and records.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _purposeful(error: BaseException | None) -> GuardError | None:
    """The guard's own error in a chain of causes, the outermost one."""
    while error is not None:
        if isinstance(error, GuardError):
            return error
        error = error.__cause__ or error.__context__
    return None
