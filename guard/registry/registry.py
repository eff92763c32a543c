"""Promote a bundle past its gate, roll back to one that served before, and say what serves.

A change is 1 lock, 2 verify, 3 copy the version in, 4 put its gate beside, 5 write the entry, 6 switch `current`. Each
step leaves what it makes whole and on disk before the next begins, so that a kill between any two leaves `current` at a
whole version. After a kill between 5 and 6 the history names a version that does not serve; the next change says so
first, in an entry of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from guard.errors import BundleRefused, GateRefused, RegistryRefused, WrongUse
from guard.gate import Gate, read_gate, write_gate
from guard.manifest import Manifest
from guard.registry.history import Change, Entry, History, append_entry, read_history
from guard.registry.layout import Layout
from guard.registry.objections import against_gate, against_kind
from guard.registry.versions import Candidate, add_version, verify_bundle, verify_version
from guard.review.decision import checked_words
from guard.rfc3339 import now_text
from guard.store import read_files
from guard.terminal import printable
from guard.whole_file import write_whole

__all__ = ["Registry", "Shelved"]


@dataclass(frozen=True)
class Shelved:
    """One version: its `manifest` and `digest`, or in `fault` why it cannot serve; `promotion` is the latest one."""

    version: str
    current: bool
    manifest: Manifest | None
    digest: str | None
    fault: str | None
    promotion: Entry | None


class Registry:
    """A registry on disk. Reading needs no lock: whatever is there is whole."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    @classmethod
    def open(cls, path: Path) -> Self:
        """The registry in `path`. Raises RegistryRefused."""
        return cls(Layout.existing(path))

    @classmethod
    def made(cls, path: Path) -> Self:
        """The registry in `path`, made where there is none. Raises RegistryRefused or OutputFailed."""
        return cls(Layout.made(path))

    def current(self) -> str | None:
        """The version that serves. Raises RegistryRefused where `current` leads to none."""
        return self._layout.current()

    def history(self) -> History:
        """Every change. Raises RegistryRefused."""
        return read_history(self._layout.history)

    def versions(self) -> list[Shelved]:
        """Every version, in the order of their latest promotion; each is verified by its hashes."""
        history, serving = self.history(), self._named_current()
        found = [_shelved(self._layout, name, history, serving) for name in self._layout.names()]
        return sorted(found, key=lambda each: each.promotion.number if each.promotion else 0)

    def promote(
        self, bundle: Path, gate: Path | None, *, by: str, why: str | None = None, force: bool = False
    ) -> Entry | None:
        """Lets the bundle serve, if its gate passed; None where it serves already.

        A bundle that carries no audit is marked with that of its gate on the way in, which changes its digest.

        `force`: in spite of what the gate says, for the reason `why`, which then must be given. Raises WrongUse,
        GateRefused for a file that is no gate, RegistryRefused for what the gate does not let pass and for a registry
        that is in use or not sound, BundleRefused, OutputFailed.
        """
        if force and why is None:
            raise WrongUse("a forced promotion needs its reason, for whoever reads the history: add --reason TEXT")
        by, why = checked_words(by, why or "the gate passed")
        with self._layout.locked():  # 1
            self._layout.sweep()
            candidate = verify_bundle(bundle)  # 2
            serving = self._serving()
            if serving is not None and candidate.serves_as(serving):
                return None
            shown, objections = self._examined(candidate, serving, gate, force=force)
            if objections and not force:
                raise RegistryRefused(_refusal(bundle, objections))
            if shown is not None and not objections:
                candidate = candidate.marked(shown)
            add_version(self._layout, candidate)  # 3
            if shown is not None:
                self._put_gate(candidate.version, shown)  # 4
            entry = self._entry("promoted", by, why, candidate)
            seal = None if shown is None else shown.seal
            told = {"gate": seal, "forced": bool(objections), "objections": objections}
            return self._change(entry.model_copy(update=told))  # 5, 6

    def rollback(self, to: str | None = None, *, by: str, why: str | None = None) -> Entry | None:
        """Lets a version serve that was promoted before; None where it serves already.

        `to`: the version; None for the one that served before the current one was promoted. Raises WrongUse,
        RegistryRefused, BundleRefused where the version is not any more what it was, OutputFailed.
        """
        by, why = checked_words(by, why or "rolled back")
        with self._layout.locked():  # 1
            self._layout.sweep()
            history = self.history()
            version = self._before(history) if to is None else to
            promoted = history.promotion(version)
            if promoted is None:
                raise RegistryRefused(
                    f"version {printable(version)} was never promoted here; see `depois registry history`"
                )
            if version == self._named_current():
                return None
            candidate = verify_version(self._layout, version, promoted.digest)  # 2
            return self._change(self._entry("rolled_back", by, why, candidate))  # 5, 6

    def _serving(self) -> Candidate | None:
        name = self._layout.current()
        if name is None:
            return None
        try:
            return Candidate(read_files(self._layout.version(name)))
        except BundleRefused as error:
            raise RegistryRefused(
                f"version {name}, which serves, is damaged: {error}. See who changed it; then roll back, or remove the "
                "link `current` and promote again"
            ) from error

    def _named_current(self) -> str | None:
        """What serves; None also where `current` is damaged, which a rollback may mend."""
        try:
            return self._layout.current()
        except RegistryRefused:
            return None

    def _before(self, history: History) -> str:
        current = self._layout.current()
        promotion = None if current is None else history.promotion(current)
        if promotion is None or promotion.from_version is None:
            raise RegistryRefused(
                f"nothing served before {current or 'now'}; name a version with --to, see `depois registry list`"
            )
        return promotion.from_version

    def _examined(
        self, candidate: Candidate, serving: Candidate | None, path: Path | None, *, force: bool
    ) -> tuple[Gate | None, tuple[str, ...]]:
        """The gate, and everything that speaks against the promotion."""
        against = () if serving is None else against_kind(candidate.stored.manifest, serving.stored.manifest)
        if path is None:
            return None, ("no gate was shown: make one with `depois compare`", *against)
        try:
            gate = read_gate(path)
        except GateRefused as error:
            if not force:
                raise
            return None, (printable(str(error))[:1000], *against)
        return gate, (*against_gate(gate, candidate, serving), *against)

    def _put_gate(self, version: str, gate: Gate) -> None:
        """A gate that is there of an earlier promotion stays, under a name by its hash."""
        path = self._layout.gates / f"{version}.json"
        if path.is_file():
            before = path.read_bytes()
            write_whole(path.with_name(f"{version}~{hashlib.sha256(before).hexdigest()[:12]}.json"), before)
        write_gate(path, gate)

    def _entry(self, change: Change, by: str, why: str, candidate: Candidate) -> Entry:
        return Entry(
            number=self.history().next_number,
            time=now_text(),
            change=change,
            by=by,
            why=why,
            from_version=self._named_current(),
            to_version=candidate.version,
            digest=candidate.stored.digest,
        )

    def _change(self, entry: Entry) -> Entry:
        entry = self._after_what_was_found(entry)
        append_entry(self._layout.history, entry)  # 5
        self._layout.switch(str(entry.to_version))  # 6
        return entry

    def _after_what_was_found(self, entry: Entry) -> Entry:
        """Says first, where it is so, that the last change never came to its end or that another was made by hand."""
        last = self.history().last
        said = None if last is None else last.to_version
        if said == entry.from_version:
            return entry
        why = f"current was found at {entry.from_version}, and not at {said}: cut off, or changed by hand"
        found = Entry(
            number=entry.number,
            time=entry.time,
            change="found",
            by="depois",
            why=why,
            from_version=said,
            to_version=entry.from_version,
        )
        append_entry(self._layout.history, found)
        return entry.model_copy(update={"number": entry.number + 1})


def _refusal(bundle: Path, objections: Sequence[str]) -> str:
    lines = "".join(f"\n  {objection}" for objection in objections)
    return (
        f"{printable(str(bundle))} is not promoted, and what serves goes on:{lines}\n"
        "Make a gate that passes, or promote with --force --reason TEXT, which the history keeps."
    )


def _shelved(layout: Layout, name: str, history: History, serving: str | None) -> Shelved:
    promotion = history.promotion(name)
    try:
        layout.holds(name)
        stored = read_files(layout.version(name))
    except (BundleRefused, RegistryRefused) as error:
        return Shelved(name, name == serving, None, None, str(error), promotion)
    fault = None
    if promotion is not None and promotion.digest not in (None, stored.digest):
        fault = "its bytes are not those that were promoted"
    elif stored.manifest.version != name:
        fault = f"it is version {stored.manifest.version}"
    return Shelved(name, name == serving, stored.manifest, stored.digest, fault, promotion)
