"""The settings of a guard: one file, the environment over it, read once; whatever is wrong is told by its key.

`guard.toml` holds the sections below; the environment wins over it, `GUARD_KAFKA__BOOTSTRAP` over `kafka.bootstrap`
(tuples as `a,b`). Passwords never stand in the file: it ends up in version control, in backups and on screens.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from guard.calibration import BoundaryRule
from guard.errors import WrongUse
from guard.routing import Mode
from guard.runtime import Device

__all__ = [
    "EvidenceSettings",
    "GuardSettings",
    "HttpSettings",
    "JudgingSettings",
    "KafkaSettings",
    "LogSettings",
    "ModelSettings",
    "Security",
    "TopicSettings",
    "is_loopback",
    "load_settings",
]

_PREFIX = "GUARD_"
_NESTED = "__"
_EXAMPLE = "deploy/guard.example.toml"
_CROSS = "settings_disagree"

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([1-9][0-9]{0,4})")
_TOPIC_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")
_HEARTBEATS_PER_SESSION = 3
"""One lost heartbeat must not cost a guard its partitions; Kafka's own advice is a third of the session."""

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
"""How the broker is spoken to: Kafka's `security.protocol`."""


def _split(value: Any) -> Any:
    """A text from the environment, or a single one in the file, as the list that it stands for."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, str) and pattern.fullmatch(value) is None:
            raise PydanticCustomError("malformed", "it is not {what}", {"what": what})
        return value

    return check


_Address = Annotated[str, BeforeValidator(_matching(_HOST_PORT, "HOST:PORT"))]
_Topic = Annotated[
    str, BeforeValidator(_matching(_TOPIC_NAME, "a topic's name: 1 to 249 letters, digits, dots, dashes, underscores"))
]
_Digest = Annotated[str, BeforeValidator(_matching(re.compile("[0-9a-fA-F]{64}"), "64 hexadecimal digits"))]
_Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KafkaSettings(_Section):
    """The broker, how it is spoken to, and the group that shares the partitions."""

    bootstrap: Annotated[tuple[_Address, ...], BeforeValidator(_split)] = Field(
        min_length=1, examples=['["kafka-1:9093", "kafka-2:9093"]']
    )
    group: str = Field("depois-guard", min_length=1, max_length=255, examples=['"depois-guard"'])
    instance: str | None = Field(None, pattern=r"^[A-Za-z0-9._-]{1,249}$", examples=['"guard-0"'])
    security: Security = Field("plaintext", examples=['"sasl_ssl"'])
    allow_plaintext: bool = Field(default=False, examples=["true"])
    username: str | None = Field(None, min_length=1, examples=['"guard"'])
    password: SecretStr | None = Field(None, min_length=1)
    password_file: Path | None = Field(None, examples=['"/run/secrets/kafka-password"'])
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field("SCRAM-SHA-512", examples=['"SCRAM-SHA-512"'])
    ca_file: Path | None = Field(None, examples=['"/etc/kafka/ca.pem"'])
    certificate_file: Path | None = Field(None, examples=['"/etc/kafka/guard.pem"'])
    key_file: Path | None = Field(None, examples=['"/etc/kafka/guard.key"'])
    session_timeout_seconds: _Seconds = Field(45.0, examples=["45"])
    heartbeat_seconds: _Seconds = Field(3.0, examples=["3"])

    @property
    def encrypted(self) -> bool:
        """Whether nobody on the way can read or change records."""
        return self.security in ("ssl", "sasl_ssl")

    @property
    def authenticated(self) -> bool:
        """Whether the guard gives a name and a password."""
        return self.security in ("sasl_plaintext", "sasl_ssl")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        self._refuse_open_networks()
        self._refuse_half_credentials()
        if self.session_timeout_seconds < _HEARTBEATS_PER_SESSION * self.heartbeat_seconds:
            _refuse(
                "kafka.heartbeat_seconds: it is more than a third of kafka.session_timeout_seconds; write at most "
                f"heartbeat_seconds = {self.session_timeout_seconds / _HEARTBEATS_PER_SESSION:g}"
            )
        return self

    def _refuse_open_networks(self) -> None:
        away = [address for address in self.bootstrap if not is_loopback(address.rpartition(":")[0])]
        if away and not self.encrypted and not self.allow_plaintext:
            _refuse(
                f"kafka.security: {self.security!r} sends samples and passwords to {away[0]} unencrypted; write "
                'security = "sasl_ssl" (or "ssl"), or allow_plaintext = true where the network itself is trusted'
            )

    def _refuse_half_credentials(self) -> None:
        if self.password and self.password_file:
            _refuse("kafka.password_file: GUARD_KAFKA__PASSWORD is set too; keep one of the two")
        if self.authenticated and not (self.username and (self.password or self.password_file)):
            _refuse(
                f"kafka.username: security = {self.security!r} needs a name and a password; write username and "
                'password_file = "/run/secrets/kafka-password", or set GUARD_KAFKA__PASSWORD'
            )
        if not self.authenticated and (self.username or self.password or self.password_file):
            _refuse(
                f"kafka.username: security = {self.security!r} would not send it; write "
                'security = "sasl_ssl", or remove username and password'
            )
        if bool(self.certificate_file) != bool(self.key_file):
            _refuse("kafka.certificate_file: it is used with kafka.key_file; write both, or neither")
        if not self.encrypted and (self.ca_file or self.certificate_file):
            _refuse(f"kafka.ca_file: security = {self.security!r} uses no certificates; remove them, or encrypt")


class TopicSettings(_Section):
    """Where records come from and where each of them goes."""

    input: Annotated[tuple[_Topic, ...], BeforeValidator(_split)] = Field(min_length=1, examples=['["samples"]'])
    clean: _Topic = Field(examples=['"samples.clean"'])
    quarantine: _Topic = Field(examples=['"samples.quarantine"'])
    dead_letter: _Topic = Field(examples=['"samples.dead-letter"'])
    decisions: _Topic | None = Field(None, examples=['"samples.decisions"'])

    @property
    def ledger(self) -> str:
        """Where reviewers write their decisions: `decisions`, or a topic named after the quarantine."""
        return self.decisions or f"{self.quarantine}.decisions"

    @property
    def outputs(self) -> tuple[str, str, str]:
        """Clean, quarantine and dead letter, in this order."""
        return self.clean, self.quarantine, self.dead_letter

    @model_validator(mode="after")
    def _agree(self) -> Self:
        names = [*self.input, *self.outputs, self.ledger]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            # A guard that reads what it wrote judges every record again, for ever.
            _refuse(f"topics: {twice!r} stands twice; give each input and output a topic of its own")
        return self


class ModelSettings(_Section):
    """The bundle that judges, and how it may change while the guard runs."""

    bundle: Path = Field(examples=['"/var/lib/depois/bundle"'])
    sha256: _Digest | None = Field(None, examples=['"…", as `depois bundle verify` prints it'])
    shadow: Path | None = Field(None, examples=['"/var/lib/depois/candidate"'])
    alpha: float | None = Field(None, gt=0, lt=1, examples=["0.01"])
    boundary: BoundaryRule | None = Field(None, examples=['"conformal"'])
    device: Device = Field("cpu", examples=['"cpu"'])
    threads: int = Field(1, ge=0, le=1024, examples=["1"])
    reload_seconds: float = Field(10.0, ge=0, le=86_400, allow_inf_nan=False, examples=["10"])


class JudgingSettings(_Section):
    """How records are judged and passed on, and after how long the guard gives up and ends."""

    mode: Mode = Field("enforce", examples=['"enforce"'])
    batch_records: int = Field(2000, ge=1, le=100_000, examples=["2000"])
    delivery_timeout_seconds: _Seconds = Field(30.0, examples=["30"])
    commit_milliseconds: int = Field(75, ge=0, le=60_000, examples=["75"])
    scoring_timeout_seconds: _Seconds = Field(30.0, examples=["30"])
    stall_seconds: _Seconds = Field(120.0, examples=["120"])
    ready_seconds: _Seconds = Field(60.0, examples=["60"])
    max_record_bytes: int | None = Field(None, ge=1024, le=64 << 20, examples=["1048576"])
    max_batch_bytes: int = Field(256 << 10, ge=16 << 10, le=16 << 20, examples=["262144"])

    @model_validator(mode="after")
    def _agree(self) -> Self:
        needed = self.scoring_timeout_seconds + self.delivery_timeout_seconds
        if self.stall_seconds <= needed:
            _refuse(
                "guard.stall_seconds: a batch may take scoring_timeout_seconds + delivery_timeout_seconds = "
                f"{needed:g} s; write a larger stall_seconds, or the guard ends in the middle of it"
            )
        return self


class EvidenceSettings(_Section):
    """Evidence about sources and about drift: whether it is counted, where it is kept, and what follows."""

    count: bool = Field(default=True, examples=["true"])
    topic: _Topic | None = Field(None, examples=['"samples.evidence"'])
    keep_seconds: _Seconds = Field(10.0, examples=["10"])
    level: float = Field(0.01, gt=0, le=0.05, examples=["0.01"])
    tolerated_share: float = Field(0.005, ge=0, le=0.5, examples=["0.005"])
    hold_accused: bool = Field(default=False, examples=["false"])

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.hold_accused and not (self.count and self.topic):
            _refuse(
                "evidence.hold_accused: without count and a topic a restart would let every accused source through; "
                'write count = true and topic = "samples.evidence"'
            )
        return self


class HttpSettings(_Section):
    """Where /metrics, /healthz and /readyz are served."""

    host: str = Field("127.0.0.1", min_length=1, examples=['"127.0.0.1", or "0.0.0.0" inside a container'])
    port: int = Field(9464, ge=1, le=65_535, examples=["9464"])


class LogSettings(_Section):
    """What is written to standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", examples=['"info"'])
    format: Literal["json", "console"] = Field("json", examples=['"json"'])


class GuardSettings(BaseSettings):
    """All settings of one guard. The environment is read when an instance is made, and wins over its arguments."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=_PREFIX,
        env_nested_delimiter=_NESTED,
        enable_decoding=False,
        hide_input_in_errors=True,
    )

    kafka: KafkaSettings
    topics: TopicSettings
    model: ModelSettings
    guard: JudgingSettings = JudgingSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        own = self.evidence.topic
        if own in (*self.topics.input, *self.topics.outputs, self.topics.ledger):
            _refuse(f"evidence.topic: {own!r} holds something else already; give the evidence a topic of its own")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 – the names are the framework's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 – as above
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 – as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then what the file says; no other source."""
        return env_settings, init_settings


def load_settings(path: Path | None) -> GuardSettings:
    """The settings in the file `path`, or those of the environment alone when None.

    Raises WrongUse, which names each key that is wrong and what to write instead. No value is repeated: it may be
    a password in the wrong place.
    """
    document = {} if path is None else _read(path)
    _refuse_unknown_sections()
    if isinstance(kafka := document.get("kafka"), dict) and "password" in kafka:
        raise WrongUse(
            f"{path}: kafka.password: passwords do not belong into this file; write "
            'password_file = "/run/secrets/kafka-password", or set GUARD_KAFKA__PASSWORD'
        )
    try:
        return GuardSettings(**document)
    except ValidationError as error:
        told = [_told(fault, path) for fault in error.errors(include_url=False, include_input=False)]
        raise WrongUse("\n".join(dict.fromkeys(told))) from None


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine and no other."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        advice = f"name a file like {_EXAMPLE} with --config"
        raise WrongUse(f"{path}: it cannot be read ({error.strerror}); {advice}") from error
    except ValueError as error:
        # The message of tomllib holds line and column, and at most one character of the file.
        raise WrongUse(f"{path}: it is not TOML ({error}); compare it with {_EXAMPLE}") from None


def _refuse_unknown_sections() -> None:
    """A misspelt section in the environment would be passed over in silence; names without `__` are not ours."""
    for name in os.environ:
        section, nested, _ = name.upper().removeprefix(_PREFIX).partition(_NESTED)
        if name.upper().startswith(_PREFIX) and nested and section.lower() not in GuardSettings.model_fields:
            known = ", ".join(f"{_PREFIX}{field.upper()}{_NESTED}…" for field in GuardSettings.model_fields)
            raise WrongUse(f"environment {name}: there is no such section; write one of {known}")


def _refuse(message: str) -> NoReturn:
    """Settings that are each sound but cannot go together; the message names its key itself."""
    raise PydanticCustomError(_CROSS, "{message}", {"message": message})


def _told(fault: ErrorDetails, path: Path | None) -> str:
    """One fault as a line: where it is, its key, what is wrong, and what to write."""
    # A position inside a list, or a branch of a union, is no key of the file.
    keys = [part for part in fault["loc"] if isinstance(part, str) and not part.startswith(("function-", "tuple["))]
    section, field = [*keys, "", ""][:2]
    variable = f"{_PREFIX}{section.upper()}{_NESTED}{field.upper()}"
    set_there = any(name.upper() == variable for name in os.environ)
    where = f"environment {variable}" if set_there else str(path or "the environment")
    if fault["type"] == _CROSS:
        return f"{path or 'the environment'}: {fault['msg']}"
    key = ".".join(filter(None, (section, field)))
    if fault["type"] == "extra_forbidden":
        return f"{where}: {key}: there is no such key; {_nearest(section, field)}"
    what = "it is missing" if fault["type"] == "missing" else fault["msg"][:1].lower() + fault["msg"][1:]
    return f"{where}: {key}: {what}; {_advice(section, field, variable)}"


def _nearest(section: str, field: str) -> str:
    known = list(_fields(section) if field else GuardSettings.model_fields)
    close = get_close_matches(field or section, known, n=1)
    return f"did you mean {close[0]}?" if close else f"it may be one of {', '.join(known)}"


def _advice(section: str, field: str, variable: str) -> str:
    if not field:
        needed = [name for name, info in _fields(section).items() if info.is_required()]
        return f"write a section [{section}] with {', '.join(needed) or 'its keys'} (see {_EXAMPLE})"
    info = _fields(section).get(field)
    example = info.examples[0] if info is not None and info.examples else "…"
    return f"write {field} = {example} under [{section}], or set {variable}"


def _fields(section: str) -> Mapping[str, FieldInfo]:
    info = GuardSettings.model_fields.get(section)
    annotation = info.annotation if info is not None else None
    return annotation.model_fields if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}
