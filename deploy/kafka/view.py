"""What the demo shows: counts by contributor, held against the truth, the last records that were held."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.kafka.crowd import Phase
from training.demo.scenario import HONEST, Entry

__all__ = ["View"]

_LAST = 6
_SAID = ("reason", "score", "member", "suggested-label")
_SINKS = ("clean", "quarantine", "dead letter")


@dataclass
class View:
    """Counts what was sent and where it came out. The truth comes from the sender; the guard never sees it."""

    title: str
    sent: Counter[str] = field(default_factory=Counter)
    arrived: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    late: deque[float] = field(default_factory=lambda: deque(maxlen=2000))
    held: deque[Text] = field(default_factory=lambda: deque(maxlen=_LAST))
    began: float = field(default_factory=time.monotonic)

    def note_sent(self, entry: Entry) -> None:
        """The broker has it."""
        self.sent[entry.source] += 1

    def note_arrived(self, sink: str, record: Any, entry: Entry) -> None:
        """The record is in `sink`; `record` is aiokafka's."""
        self.arrived[sink, entry.source, entry.kind] += 1
        self.late.append(time.time() - record.timestamp / 1000)
        if sink == "quarantine":
            self.held.append(_held(dict(record.headers), entry))

    @property
    def total_sent(self) -> int:
        """Records that the broker has."""
        return sum(self.sent.values())

    @property
    def total_arrived(self) -> int:
        """Records that came out of the guard."""
        return sum(self.arrived.values())

    def line(self, phase: Phase, backlog: float) -> str:
        """The state in one line, for logs."""
        sums = Counter({sink: sum(self._of(sink).values()) for sink in _SINKS})
        counts = ", ".join(f"{sink} {count:,}" for sink, count in sums.items())
        at = f"{time.monotonic() - self.began:5.0f} s"
        return f"{at}  {phase.name}: sent {self.total_sent:,}, {counts}, lag {backlog:,.0f}"

    def render(self, phase: Phase, backlog: float) -> RenderableType:
        """The whole picture, for a terminal."""
        rate = self.total_arrived / max(time.monotonic() - self.began, 1e-9)
        ages = sorted(self.late)
        median, slow = (ages[len(ages) // 2], ages[len(ages) * 99 // 100]) if ages else (0.0, 0.0)
        head = Text.assemble(
            (f"{phase.name}\n", "bold red" if phase.hostile > 0.1 else "bold green"),
            f"{self.total_sent:,} sent, {self.total_arrived:,} judged ({rate:,.0f}/s), lag {backlog:,.0f}; "
            f"from sender to topic {median * 1000:.0f} ms in the median, {slow * 1000:.0f} ms in the slowest hundredth",
        )
        last = Group(*self.held) if self.held else Text("nothing yet", style="dim")
        return Panel(Group(head, self._table(), self._truth(), Text("Held last", style="bold"), last), title=self.title)

    def summary(self) -> RenderableType:
        """What to say at the end."""
        return Group(self._table(), self._truth())

    def _table(self) -> Table:
        table = Table("contributor", "is", "sent", *_SINKS, expand=False)
        kinds = {
            source: kind for _, source, kind in sorted(self.arrived, key=lambda key: key[2] == HONEST, reverse=True)
        }
        for source, count in sorted(self.sent.items()):
            sinks = [self._of(sink)[source] for sink in _SINKS]
            kind = kinds.get(source, HONEST)
            style = "" if kind == HONEST else "red"
            table.add_row(source, kind, f"{count:,}", *(f"{number:,}" for number in sinks), style=style)
        return table

    def _of(self, sink: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for (where, source, _), count in self.arrived.items():
            found[source] += count if where == sink else 0
        return found

    def _truth(self) -> Text:
        good, kept_back = self._share(honest=True)
        bad, caught = self._share(honest=False)
        return Text(
            f"Of {bad:,} poisoned or broken records {_percent(caught, bad)} were kept out of clean; "
            f"of {good:,} honest ones {_percent(kept_back, good)} were held."
        )

    def _share(self, *, honest: bool) -> tuple[int, int]:
        """Records of one kind, and how many of them are not in clean."""
        mine = {key: count for key, count in self.arrived.items() if (key[2] == HONEST) == honest}
        return sum(mine.values()), sum(count for key, count in mine.items() if key[0] != "clean")


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def _held(headers: dict[str, bytes], entry: Entry) -> Text:
    said = {name: headers.get(f"guard-{name}", b"").decode() for name in _SAID}
    chance = f", p = {float(said['score']):.2g}" if said["score"] else ""
    speaks = f", speaks for {said['suggested-label']}" if said["suggested-label"] else ""
    told = f"{entry.source}: {said['reason']} {said['member']}{chance}{speaks} ({entry.kind})"
    return Text(told, style="yellow" if entry.kind == HONEST else "")
