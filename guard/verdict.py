"""What the guard says of a sample: the closed sets of verdicts and reasons, and the record that carries them."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["HoldReason", "RejectReason", "Status", "Verdict"]


class Status(StrEnum):
    """Where a record goes. `RELEASED` and `REJECTED` are decisions of a reviewer, never of the model."""

    CLEAN = "clean"
    QUARANTINED = "quarantined"
    MALFORMED = "malformed"
    RELEASED = "released"
    REJECTED = "rejected"


class RejectReason(StrEnum):
    """Why a record is malformed: the closed enum of the wire format."""

    MALFORMED_JSON = "malformed_json"
    SCHEMA_VIOLATION = "schema_violation"
    SHAPE_MISMATCH = "shape_mismatch"
    NON_FINITE = "non_finite"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CATEGORY = "unknown_category"
    TOO_LARGE = "too_large"
    UNSUPPORTED_FRAMING = "unsupported_framing"
    TOMBSTONE = "tombstone"


class HoldReason(StrEnum):
    """Why a well-formed sample is quarantined."""

    SUSPECT = "suspect"
    UNKNOWN_LABEL = "unknown_label"
    NOT_SCORED = "not_scored"
    SUSPECT_SOURCE = "suspect_source"


class Verdict(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The judgement of one sample.

    `p_value` is the fused p-value in (0, 1]; None when the sample was not scored. `threshold` is α. `member` is the
    member that fired, `suggested_label` the label that the trusted data speak for. `detail` names the field or byte
    offset that is wrong when the record is malformed.
    """

    status: Status
    reason: RejectReason | HoldReason | None = None
    p_value: float | None = None
    threshold: float | None = None
    member: str | None = None
    suggested_label: str | int | float | None = None
    id: str | None = None
    source: str | None = None
    label: str | int | float | None = None
    detail: str | None = None
