"""`depois attack`: poison for a guard of one's own, with the truth about it in a file apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.errors import WrongUse
from guard.spec import Task
from training.cli.data import open_data

if TYPE_CHECKING:
    from training.attacks import Attack, Poison, Trigger
    from training.snapshot import Snapshot

__all__ = ["attack"]

_POISON, _TRUTH, _TRIGGERED = "poison.jsonl", "truth.jsonl", "triggered.jsonl"


def attack(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An attack, or `list`.")],
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", help="Rows that the attacker holds: a snapshot, a file or a folder."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist.")] = Path("attack"),
    share: Annotated[float, typer.Option(help="Poisoned rows, as a share of the rows in DATA, in (0, 1].")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same poison.")] = 0,
    source: Annotated[str, typer.Option(help="The contributor's name in the samples.")] = "attacker",
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The label's column, where DATA is a CSV or Parquet file.")
    ] = None,
    task: Annotated[Task | None, typer.Option(help="What the label is, where DATA is a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make poisoned samples from rows of your own, to see what your guard does with them.

    poison.jsonl holds samples in the wire format, ready to be filtered or sent; truth.jsonl says of each, by its id,
    which row it was made from and which label is right; where an attack is after certain rows, also which one shall be
    read as what. Where it plants a trigger, triggered.jsonl holds the other rows with the trigger and their right
    labels: what the backdoor opens for. Give rows that the guard's trusted snapshot does not hold.

    Example: depois attack confident-flip outside.csv --label price_band --out poison
    """
    if name == "list":
        _list()
        return
    if data is None:
        raise WrongUse(f"what should {name} poison? Name a file or a snapshot: depois attack {name} DATA --out DIR")
    chosen = _chosen(name)
    snapshot = open_data(data, label, task, seed)
    poison = _poison(chosen, snapshot, share, seed)
    _write(out, chosen, snapshot, poison, source, seed)
    told = {"attack": chosen.name, "rows": len(snapshot.y), "poisoned": len(poison.y), "out": str(out)}
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        typer.echo(f"{len(poison.y)} samples in {out / _POISON}; the truth about each in {out / _TRUTH}")
        typer.echo(f"Next: depois filter {out / _POISON} --bundle BUNDLE --out judged")


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from training.attacks import ATTACKS

    table = Table("attack", "what it does", "what the attacker must know")
    for one in ATTACKS:
        table.add_row(one.name, one.description, one.needs)
    Console(markup=False, emoji=False, highlight=False).print(table)


def _chosen(name: str) -> Attack:
    from training.attacks import ATTACKS

    known = {one.name: one for one in ATTACKS}
    if name not in known:
        raise WrongUse(f"there is no attack {name!r}; choose one of {', '.join(known)}, or see `depois attack list`")
    return known[name]


def _poison(chosen: Attack, snapshot: Snapshot, share: float, seed: int) -> Poison:
    import numpy as np

    from training.attacks import AttackerRows

    if not 0 < share <= 1:
        raise WrongUse(f"share is {share}; a share of the rows lies between 0 and 1")
    rows = AttackerRows(snapshot.x, snapshot.y, snapshot.spec)
    return chosen.run(rows, max(1, round(share * len(snapshot.y))), np.random.default_rng(seed))


def _write(out: Path, chosen: Attack, snapshot: Snapshot, poison: Poison, source: str, seed: int) -> None:
    from guard.folder import new_folder
    from guard.sample import encode_samples

    ids = [f"{source}-{number}" for number in range(len(poison.y))]
    samples = encode_samples(snapshot.spec, poison.x, poison.y, [source] * len(ids), ids)
    with new_folder(out) as folder:
        (folder / _POISON).write_bytes(b"".join(line + b"\n" for line in samples))
        truth = (json.dumps(line, ensure_ascii=False) + "\n" for line in _truth(chosen, snapshot, poison, ids))
        (folder / _TRUTH).write_text("".join(truth), encoding="utf-8")
        if poison.trigger is not None:
            shown = _triggered(snapshot, poison, poison.trigger, seed)
            (folder / _TRIGGERED).write_bytes(b"".join(line + b"\n" for line in shown))


def _triggered(snapshot: Snapshot, poison: Poison, trigger: Trigger, seed: int) -> list[bytes]:
    """The rows that the backdoor opens for and no poison was made from, with the trigger, in the wire format."""
    import numpy as np

    from guard.sample import encode_samples

    attacked = snapshot.y != trigger.wanted if trigger.source is None else snapshot.y == trigger.source
    rows = np.setdiff1d(np.flatnonzero(attacked), poison.base_index)
    x = trigger.put(snapshot.x[rows].astype(np.uint8), np.random.default_rng([seed, 1]))
    ids = [f"triggered-{snapshot.origin[row]}" for row in rows]
    return encode_samples(snapshot.spec, x, snapshot.y[rows], ["triggered"] * len(ids), ids)


def _truth(chosen: Attack, snapshot: Snapshot, poison: Poison, ids: list[str]) -> Iterator[dict[str, Any]]:
    from guard.encoding import label_value

    for number, name in enumerate(ids):
        base = int(poison.base_index[number])
        yield {
            "id": name,
            "attack": chosen.name,
            "row": int(snapshot.origin[base]) if base >= 0 else None,
            "label": label_value(snapshot.spec, poison.y[number]),
            "right_label": label_value(snapshot.spec, poison.y_true[number]),
            **_aim(snapshot, poison, number),
        }


def _aim(snapshot: Snapshot, poison: Poison, number: int) -> dict[str, Any]:
    """Where the attack is after certain rows, or plants a trigger: which row this serves; what shall be read."""
    from guard.encoding import label_value

    if poison.trigger is not None:
        return {"wanted_label": label_value(snapshot.spec, poison.trigger.wanted)}
    if poison.targets is None:
        return {}
    target = poison.targets.serves[number]
    return {
        "target_row": int(snapshot.origin[poison.targets.index[target]]),
        "wanted_label": label_value(snapshot.spec, poison.targets.wanted[target]),
    }
