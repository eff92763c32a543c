"""Settings: defaults, the environment over the file, and an error for each mistake that names its key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from guard.errors import WrongUse
from guard.stream.settings import GuardSettings, is_loopback, load_settings

EXAMPLE = Path(__file__).parents[2] / "deploy/guard.example.toml"
LOCAL = """
[kafka]
bootstrap = ["localhost:9092"]
[topics]
input = ["samples"]
clean = "clean"
quarantine = "held"
dead_letter = "dead"
[model]
bundle = "bundle"
"""


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUARD_KAFKA__PASSWORD", raising=False)


def loaded(tmp_path: Path, text: str = LOCAL) -> GuardSettings:
    path = tmp_path / "guard.toml"
    path.write_text(text)
    return load_settings(path)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(WrongUse) as caught:
        loaded(tmp_path, text)
    return str(caught.value)


def with_line(section: str, line: str) -> str:
    """The local settings with a line more; one that is there already gives way."""
    key = line.partition(" ")[0]
    kept = re.sub(rf"^{key} = .*\n", "", LOCAL, flags=re.MULTILINE)
    if f"[{section}]\n" not in kept:
        return f"{kept}\n[{section}]\n{line}\n"
    return kept.replace(f"[{section}]\n", f"[{section}]\n{line}\n")


def test_what_is_not_said_has_the_documented_default(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.kafka.group == "depois-guard"
    assert settings.kafka.security == "plaintext"
    assert settings.topics.outputs == ("clean", "held", "dead")
    assert settings.guard.mode == "enforce"
    assert settings.http.host == "127.0.0.1"
    assert settings.model.alpha is None


def test_nothing_can_be_changed_afterwards(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    with pytest.raises(ValidationError):
        settings.kafka = settings.kafka  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.guard.mode = "observe"  # type: ignore[misc]


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_TOPICS__INPUT", "one, two")
    monkeypatch.setenv("GUARD_GUARD__MODE", "observe")
    monkeypatch.setenv("GUARD_HTTP__PORT", "9999")
    settings = loaded(tmp_path)
    assert settings.topics.input == ("one", "two")
    assert settings.guard.mode == "observe"
    assert settings.http.port == 9999
    assert settings.topics.clean == "clean"


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAFKA__BOOTSTRAP": "127.0.0.1:9092,[::1]:9092",
        "TOPICS__INPUT": "samples",
        "TOPICS__CLEAN": "clean",
        "TOPICS__QUARANTINE": "held",
        "TOPICS__DEAD_LETTER": "dead",
        "MODEL__BUNDLE": "bundle",
        "MODEL__ALPHA": "0.05",
    }.items():
        monkeypatch.setenv(f"GUARD_{name}", value)
    settings = load_settings(None)
    assert settings.kafka.bootstrap == ("127.0.0.1:9092", "[::1]:9092")
    assert settings.model.alpha == 0.05


def test_variables_that_an_orchestrator_sets_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_PORT_9464_TCP_ADDR", "10.0.0.1")
    monkeypatch.setenv("GUARD_SERVICE_HOST", "10.0.0.1")
    loaded(tmp_path)


def test_a_misspelt_section_in_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_KAKFA__GROUP", "mine")
    assert "GUARD_KAKFA__GROUP" in refusal(tmp_path, LOCAL)


WRONG = {
    'bootstrap = ["kafka"]': ("kafka", "kafka.bootstrap", "HOST:PORT"),
    'bootstrap = ["kafka:9092"]': ("kafka", "kafka.security", 'security = "sasl_ssl"'),
    'bootstrap = ["127.0.0.1:9092", "kafka:9092"]': ("kafka", "kafka.security", "kafka:9092"),
    "bootstrap = []": ("kafka", "kafka.bootstrap", "bootstrap = ["),
    'boostrap = ["localhost:9092"]': ("kafka", "kafka.boostrap", "did you mean bootstrap?"),
    'security = "tls"': ("kafka", "kafka.security", "sasl_ssl"),
    'username = "guard"': ("kafka", "kafka.username", "would not send it"),
    'security = "sasl_ssl"': ("kafka", "kafka.username", "password_file"),
    'ca_file = "ca.pem"': ("kafka", "kafka.ca_file", "uses no certificates"),
    'key_file = "guard.key"': ("kafka", "kafka.certificate_file", "write both"),
    "heartbeat_seconds = 30": ("kafka", "kafka.heartbeat_seconds", "heartbeat_seconds = 15"),
    'password = "hunter2"': ("kafka", "kafka.password", "password_file"),
    'instance = "a b"': ("kafka", "kafka.instance", 'instance = "guard-0"'),
    'clean = "a topic"': ("topics", "topics.clean", "letters, digits"),
    'clean = "samples"': ("topics", "topics", "stands twice"),
    'input = ["held", "samples"]': ("topics", "topics", "stands twice"),
    "alpha = 1.5": ("model", "model.alpha", "alpha = 0.01"),
    "alpha = nan": ("model", "model.alpha", "alpha = 0.01"),
    'sha256 = "abc"': ("model", "model.sha256", "64 hexadecimal digits"),
    'boundary = "loose"': ("model", "model.boundary", "conformal"),
    "reload_seconds = -1": ("model", "model.reload_seconds", "reload_seconds = 10"),
    'mode = "off"': ("guard", "guard.mode", "observe"),
    "stall_seconds = 60": ("guard", "guard.stall_seconds", "= 60 s"),
    "batch_records = 0": ("guard", "guard.batch_records", "batch_records = 2000"),
    "delivery_timeout_seconds = inf": ("guard", "guard.delivery_timeout_seconds", "delivery_timeout_seconds = 30"),
    "port = 70000": ("http", "http.port", "port = 9464"),
    'level = "loud"': ("log", "log.level", "warning"),
    "anything = 1": ("htpp", "htpp", "did you mean http?"),
}


@pytest.mark.parametrize("line", WRONG)
def test_each_mistake_is_told_by_its_key_with_what_to_write(tmp_path: Path, line: str) -> None:
    section, key, advice = WRONG[line]
    message = refusal(tmp_path, with_line(section, line))
    assert f"guard.toml: {key}" in message
    assert advice in message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[kafka]\n[http]\nport = 0\n")
    told = [line.split(": ")[1] for line in message.splitlines()]
    assert told == ["kafka.bootstrap", "topics", "model", "http.port"]


def test_a_mistake_in_the_environment_is_told_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_HTTP__PORT", "many")
    assert refusal(tmp_path, LOCAL).startswith("environment GUARD_HTTP__PORT: http.port: ")


@pytest.mark.parametrize("text", ['[kafka]\nusername = "hunter2', "kafka = 'hunter2'", '[model]\nbundle = ["hunter2"]'])
def test_no_message_repeats_a_value(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in refusal(tmp_path, text)


def test_a_password_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_KAFKA__PASSWORD", "hunter2")
    secured = with_line("kafka", 'security = "sasl_ssl"').replace("[kafka]\n", '[kafka]\nusername = "guard"\n')
    settings = loaded(tmp_path, secured)
    assert settings.kafka.password is not None
    assert settings.kafka.password.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    both = secured.replace("[kafka]\n", '[kafka]\npassword_file = "p"\n')
    assert "keep one of the two" in refusal(tmp_path, both)
    assert "hunter2" not in refusal(tmp_path, both)


def test_a_file_that_is_not_there_is_told_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=r"absent\.toml: it cannot be read .*guard\.example\.toml"):
        load_settings(tmp_path / "absent.toml")


def test_a_file_that_is_not_toml_is_told_with_the_line(tmp_path: Path) -> None:
    assert "line 2" in refusal(tmp_path, "[kafka]\nbootstrap\n")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(WrongUse, match="not TOML"):
        load_settings(tmp_path / "bytes.toml")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["kafka", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "[::]", ""])  # noqa: S104
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_the_example_is_sound_as_it_stands() -> None:
    settings = load_settings(EXAMPLE)
    assert settings.kafka.security == "sasl_ssl"


def test_the_example_shows_every_key_and_its_default() -> None:
    """With every comment that is a setting taken as one, the example names all keys, with the defaults of the code."""
    text = re.sub(r"^# ([a-z_0-9]+ = )", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    document = tomllib.loads(text)
    assert set(document) == set(GuardSettings.model_fields)
    for section, written in document.items():
        model: type[BaseModel] = GuardSettings.model_fields[section].annotation  # type: ignore[assignment]
        assert set(written) == set(model.model_fields) - {"password"}
        for key, value in written.items():
            check_default(model, key, value, text)


def check_default(model: type[BaseModel], key: str, value: Any, text: str) -> None:
    default = model.model_fields[key].get_default()
    commented = re.search(rf"^# {key} = ", EXAMPLE.read_text(), flags=re.MULTILINE)
    if commented and default is not None:
        assert value == default, f"{key} is commented out with {value}, but the default is {default}"
