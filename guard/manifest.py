"""The manifest of a bundle: what it is, what it may see, how it was made, and the hash of each of its files."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from guard.document import Sha256
from guard.gate import AuditBound
from guard.spec import InputSpec

__all__ = ["FORMAT_VERSION", "GRAPH_INPUTS", "GRAPH_OUTPUTS", "SMALLEST_ALPHA", "Alpha", "Manifest", "MemberCard"]

FORMAT_VERSION = 1
"""Raised when an older guard would misread a newer bundle; a guard refuses any other version."""

GRAPH_INPUTS = ("x", "y")
"""x: float64 (batch, columns) or uint8 (batch, height, width, channels); y: int64 (batch,) or float64 (batch,)."""

GRAPH_OUTPUTS = ("scores", "suggestion", "features")
"""scores: float32 (batch, members), higher is more suspicious; suggestion: int64 class index or float64 value (batch,);
features: float32 (batch, d), the preprocessed input in which nearest trusted neighbours are sought."""

SMALLEST_ALPHA = 1e-9
"""Below it α means "hold nothing", and 1/α leaves the range in which it can be counted."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MemberCard(_Frozen):
    """One member of the graph: column `index` of `scores`, and its share of the false-alarm budget."""

    name: str
    description: str
    weight: float = Field(gt=0, le=1)
    blind_to: str


class Alpha(_Frozen):
    """The share of clean samples that may be held, and the band (5 %, 95 %) in which this calibration can hold it."""

    value: float = Field(ge=SMALLEST_ALPHA, lt=1)
    band: tuple[float, float]
    extrapolated: bool
    calibration_rows: int = Field(ge=30)


class Manifest(_Frozen):
    """`manifest.json` of a bundle. `audit`: of the snapshot; null or absent where nobody audited it."""

    format_version: int
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    created: str
    spec: InputSpec
    members: tuple[MemberCard, ...] = Field(min_length=1)
    boundary: Literal["conformal", "zscore"] = "conformal"
    alpha: Alpha
    snapshot_digest: Sha256
    audit: AuditBound | None = None
    training: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    libraries: dict[str, str]
    files: dict[str, Sha256]
