"""Evidence of one input partition, as guards keep it: about its sources, and about drift, up to one offset."""

from __future__ import annotations

import msgspec

from guard.blame import PlaceState, StateUnreadable
from guard.drift import DriftState

__all__ = ["Evidence"]

_FORMAT = 1


class Evidence(msgspec.Struct, frozen=True):
    """Both were counted up to `sources.through`: kept together, neither counts a record that the other has not."""

    format: int
    sources: PlaceState
    drift: DriftState

    @property
    def place(self) -> str:
        """cluster/topic/partition of the input."""
        return self.sources.place

    @property
    def through(self) -> int:
        """Records below this offset are counted."""
        return self.sources.through

    def to_bytes(self) -> bytes:
        """As JSON."""
        return _ENCODER.encode(self)

    @staticmethod
    def of(sources: PlaceState, drift: DriftState) -> Evidence:
        """In the format of this version."""
        return Evidence(_FORMAT, sources, drift)

    @staticmethod
    def from_bytes(data: bytes) -> Evidence:
        """Raises StateUnreadable: whoever may write to the topic may have written anything."""
        try:
            found = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateUnreadable(f"evidence is damaged: {error}") from error
        if found.format != _FORMAT:
            raise StateUnreadable(f"evidence has format {found.format}, expected {_FORMAT}")
        found.sources.audit()
        found.drift.audit()
        return found


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Evidence)
