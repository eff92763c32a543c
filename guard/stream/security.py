"""One way to the broker for the three clients that the guard uses: Faust reads, aiokafka writes, kafka-python asks.

All three share one TLS context, which checks the broker's certificate and name, and one password, which no `repr`
shows: kafka-python writes its whole configuration to the log at level DEBUG.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.errors import WrongUse
from guard.stream.settings import KafkaSettings, Security

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

__all__ = ["Connection", "FaustBroker", "connection"]

_MAX_SECRET_BYTES = 64 << 10
"""A password file is a line; whoever names /dev/zero by mistake must be told, not killed for memory."""


class _Secret(str):
    """A text that clients can send but that no log line, traceback or debugger shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'**********'"


@dataclass(frozen=True)
class FaustBroker:
    """What `faust.App` needs: `broker=url, broker_credentials=credentials`."""

    url: list[str]
    credentials: CredentialsT | None


@dataclass(frozen=True)
class Connection:
    """The same connection in the words of each client.

    `aiokafka` and `admin` are keyword arguments of `AIOKafkaProducer`, `AIOKafkaConsumer` and of kafka-python's
    clients: servers and credentials, nothing else.
    """

    bootstrap: tuple[str, ...]
    security: Security
    mechanism: str
    username: str | None
    password: str | None
    context: ssl.SSLContext | None

    @property
    def faust(self) -> FaustBroker:
        """Broker URLs and credentials for `faust.App`."""
        return FaustBroker([f"kafka://{address}" for address in self.bootstrap], self._credentials())

    @property
    def aiokafka(self) -> dict[str, Any]:
        """Keyword arguments of aiokafka's clients."""
        return {"bootstrap_servers": list(self.bootstrap), **self._keywords()}

    @property
    def admin(self) -> dict[str, Any]:
        """Keyword arguments of kafka-python's clients."""
        return {"bootstrap_servers": list(self.bootstrap), **self._keywords()}

    def _keywords(self) -> dict[str, Any]:
        words: dict[str, Any] = {"security_protocol": self.security.upper()}
        if self.context is not None:
            words["ssl_context"] = self.context
        if self.username is not None:
            words["sasl_mechanism"] = self.mechanism
            words["sasl_plain_username"] = self.username
            words["sasl_plain_password"] = self.password
        return words

    def _credentials(self) -> CredentialsT | None:
        import faust

        if self.username is not None:
            return faust.SASLCredentials(
                username=self.username, password=self.password, mechanism=self.mechanism, ssl_context=self.context
            )
        return None if self.context is None else faust.SSLCredentials(self.context)


def connection(kafka: KafkaSettings) -> Connection:
    """Reads the password and the certificates that `kafka` names. Raises WrongUse with the key of what is wrong."""
    return Connection(
        bootstrap=kafka.bootstrap,
        security=kafka.security,
        mechanism=kafka.mechanism,
        username=kafka.username,
        password=_password(kafka),
        context=_context(kafka) if kafka.encrypted else None,
    )


def _password(kafka: KafkaSettings) -> _Secret | None:
    if kafka.password is not None:
        return _Secret(kafka.password.get_secret_value())
    if kafka.password_file is None:
        return None
    with _named("password_file", kafka.password_file), kafka.password_file.open("rb") as file:
        text = file.read(_MAX_SECRET_BYTES + 1).decode()
    # An editor ends the file with a newline that is no part of the password.
    secret = text.rstrip("\r\n")
    if not secret or len(text) > _MAX_SECRET_BYTES:
        raise WrongUse(f"kafka.password_file: {kafka.password_file} holds no password; write it as the only line")
    return _Secret(secret)


def _context(kafka: KafkaSettings) -> ssl.SSLContext:
    with _named("ca_file", kafka.ca_file):
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=kafka.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if kafka.certificate_file and kafka.key_file:
        for key, file in (("certificate_file", kafka.certificate_file), ("key_file", kafka.key_file)):
            with _named(key, file):
                file.open("rb").close()
        with _named("certificate_file", kafka.certificate_file):
            # Without the third argument OpenSSL would ask at the terminal, and wait for ever where there is none.
            context.load_cert_chain(kafka.certificate_file, kafka.key_file, password=_no_passphrase)
    return context


def _no_passphrase() -> str:
    raise WrongUse("kafka.key_file: the key is encrypted; write one without a passphrase and protect the file itself")


@contextmanager
def _named(key: str, path: Path | None) -> Iterator[None]:
    """Turns what the operating system and OpenSSL say of a file into advice on its key."""
    try:
        yield
    except ssl.SSLError as error:
        raise WrongUse(
            f"kafka.{key}: {path} does not hold what it should ({error.reason or error}); write PEM files that "
            "belong together"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise WrongUse(f"kafka.{key}: {path} cannot be read ({why}); name a file that the guard may read") from error
