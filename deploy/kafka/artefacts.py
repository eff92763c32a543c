"""The jars of a Kafka broker: fetched by Maven from a pinned pom, and checked against committed SHA-256 sums."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["CLASSES", "HERE", "JARS", "BrokerUnavailable", "checked_jars", "install", "missing_tool"]

HERE = Path(__file__).parent
JARS = HERE.parents[1] / ".setup" / "kafka" / "jars"
CLASSES = JARS.with_name("classes.jsa")
"""Kafka's classes as a JVM has loaded and verified them. A JVM that finds other jars, or is another one, ignores it."""

_OLDEST_JAVA = 17
"""Kafka 4 brokers are compiled for Java 17: an older one dies with UnsupportedClassVersionError."""


class BrokerUnavailable(RuntimeError):
    """No broker can be had here. The message says what to install."""


def missing_tool(*names: str) -> str | None:
    """The reason why one of the programs `names` cannot be used, or None when all can."""
    for name in names:
        if shutil.which(name) is None:
            return f"a real Kafka broker needs `{name}`, which is not here: run `make kafka`"
    if "java" in names and _java_version() < _OLDEST_JAVA:
        return f"a real Kafka broker needs Java {_OLDEST_JAVA} or later, here is {_java_version()}"
    return None


@cache
def _java_version() -> int:
    told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', told.stderr)
    return int(found[1]) if found else 0


def install() -> Path:
    """Fetch the jars unless they are there already, check them, and return their folder.

    Raises BrokerUnavailable when Java or Maven is missing, Maven fails or a jar is not the one that was pinned.
    """
    if not _wrong(JARS):
        return JARS
    if reason := missing_tool("java", "mvn"):
        raise BrokerUnavailable(reason)
    staged = JARS.with_name("staged")
    shutil.rmtree(staged, ignore_errors=True)
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    command += [f"-DoutputDirectory={staged}", "-DincludeScope=runtime"]
    fetched = subprocess.run(command, capture_output=True, text=True, check=False)
    if fetched.returncode:
        raise BrokerUnavailable(f"Maven could not fetch Kafka: {fetched.stdout[-1000:]}{fetched.stderr[-1000:]}")
    if wrong := _wrong(staged):
        raise BrokerUnavailable(f"these jars are not the pinned ones, nothing was installed: {', '.join(wrong)}")
    shutil.rmtree(JARS, ignore_errors=True)
    CLASSES.unlink(missing_ok=True)
    staged.rename(JARS)
    return JARS


@cache
def checked_jars() -> Path:
    """The folder of the installed jars, hashed once per process. Raises BrokerUnavailable when they are not right."""
    if wrong := _wrong(JARS):
        raise BrokerUnavailable(f"Kafka is not installed here ({wrong[0]}): run `make kafka`")
    return JARS


def _wrong(folder: Path) -> list[str]:
    """What is missing, changed or should not be there."""
    lines = (line.split("  ") for line in (HERE / "jars.sha256").read_text().splitlines())
    pinned = {name: digest for digest, name in lines}
    found = {path.name: path for path in folder.glob("*")} if folder.is_dir() else {}
    strangers = sorted(found.keys() - pinned.keys())
    return strangers + [
        name
        for name, digest in pinned.items()
        if name not in found or hashlib.sha256(found[name].read_bytes()).hexdigest() != digest
    ]
