"""A real Apache Kafka broker on this machine: one node (KRaft), no container engine, for tests and the demo.

As a library: `with Broker(folder) as broker: ... broker.bootstrap`. As a command: `python -m deploy.kafka.launcher
--help`. The broker keeps its ports and its data over `stop`, `kill` and `start`.
"""

from __future__ import annotations

import argparse
import base64
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.kafka.artefacts import CLASSES, HERE, BrokerUnavailable, checked_jars, install, missing_tool
from deploy.kafka.certificates import Certificates, Identity

__all__ = ["Broker", "archive_classes", "free_port", "main", "unavailable"]

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
"""A broker answers after 3 s; on a machine that is busy with other tests it was seen to take 20."""
_STOP_SECONDS = 30.0
_ATTEMPTS = 3
"""Free ports are found by asking and closing: another process may be given the same ones in between."""

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAIN",
    "auto.create.topics.enable": "false",  # a misspelt topic must fail, not appear
    "broker.session.timeout.ms": "3000",  # a broker that was killed is let in again only when its old session has ended
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",  # the default makes the first member of each group wait for 3 s
    "group.min.session.timeout.ms": "1000",  # fault tests wait for sessions to run out
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "log.cleaner.backoff.ms": "200",  # compaction tests wait for the cleaner
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.segment.delete.delay.ms": "1000",
    "num.network.threads": "2",
    "num.io.threads": "4",
}
_SECURED = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    # The plain listener is the administrator's: whoever comes without a name may do everything, all others nothing.
    "super.users": "User:ANONYMOUS",
    "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256",
    "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "listener.name.sasl.scram-sha-256.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
    "listener.name.mutual.ssl.client.auth": "required",
    "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
    "ssl.keystore.type": "PEM",
    "ssl.truststore.type": "PEM",
}
_PROTOCOLS = {
    "PLAIN": "PLAINTEXT",
    "CONTROLLER": "PLAINTEXT",
    "PROXIED": "PLAINTEXT",
    "SASL": "SASL_SSL",
    "MUTUAL": "SSL",
}


def unavailable() -> str | None:
    """Why no broker can be started here, or None."""
    if reason := missing_tool("java", "openssl"):
        return reason
    try:
        checked_jars()
    except BrokerUnavailable as error:
        return str(error)
    return None


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


class Broker:
    """One broker with its data in `folder`.

    `bootstrap` is plaintext; on a `secured` broker it is the administrator's, and the users come by `sasl_bootstrap`
    (SASL_SSL with SCRAM) or `mutual_bootstrap` (mTLS; the user is the certificate's common name), both with `ca`.
    `proxied` is a pair of ports: who connects to the second one is told that the broker lives there, and a proxy that
    listens on it must pass everything on to the first. `settings` are added to the broker's own. When it is stopped,
    its JVM leaves the classes that it loaded at `archive`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        secured: bool = False,
        settings: Mapping[str, str] | None = None,
        archive: Path | None = None,
    ) -> None:
        self._folder = folder
        self._archive = archive
        self._secured = secured
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._certificates: Certificates | None = None
        self._ports: dict[str, int] = {}
        self.proxied = (0, 0)
        self.cluster = base64.urlsafe_b64encode(b"k" + secrets.token_bytes(15)).decode()[:22]

    @property
    def bootstrap(self) -> str:
        """HOST:PORT of the plaintext listener."""
        return f"{_HOST}:{self._ports['PLAIN']}"

    @property
    def sasl_bootstrap(self) -> str:
        """HOST:PORT of the SASL_SSL listener."""
        return f"{_HOST}:{self._ports['SASL']}"

    @property
    def mutual_bootstrap(self) -> str:
        """HOST:PORT of the listener that asks for a client certificate."""
        return f"{_HOST}:{self._ports['MUTUAL']}"

    @property
    def proxied_bootstrap(self) -> str:
        """HOST:PORT at which a proxy is expected."""
        return f"{_HOST}:{self.proxied[1]}"

    @property
    def ca(self) -> Path:
        """The authority that the broker's certificate is signed by."""
        return self._authority().ca

    @property
    def pid(self) -> int:
        """The process of the running broker."""
        return self._running().pid

    def client_certificate(self, name: str) -> Identity:
        """A certificate with which a client is the user `name` at the mutual listener."""
        return self._authority().issue(name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Format the folder at the first start, start the broker, and wait until it answers an administrator.

        Raises BrokerUnavailable with the end of the broker's log when it does not.
        """
        attempts = 1 if self._ports else _ATTEMPTS
        for attempt in range(1, attempts + 1):
            if not self._settled():
                self._settle()
            try:
                self._launch()
                self._await_answer()
            except BaseException as error:
                self.kill()
                if attempt == attempts or not isinstance(error, BrokerUnavailable):
                    raise
                shutil.rmtree(self._folder / "data", ignore_errors=True)
            else:
                return

    def stop(self) -> None:
        """Ask the broker to end, and wait for it."""
        process = self._running()
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End the broker with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The broker neither answers nor closes anything for as long as the block lasts."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def admin(self) -> Any:
        """A new `kafka.admin.KafkaAdminClient` that may do everything; close it."""
        from kafka.admin import KafkaAdminClient

        return KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=15_000)

    def log(self) -> str:
        """What the broker wrote so far."""
        path = self._folder / "broker.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _authority(self) -> Certificates:
        self._certificates = self._certificates or Certificates(self._folder / "certificates")
        return self._certificates

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerUnavailable("the broker is not running: start it")
        return self._process

    def _settled(self) -> bool:
        return (self._folder / "data" / "meta.properties").exists()

    def _settle(self) -> None:
        """Choose ports, write the settings and format the folder."""
        names = ["PLAIN", "CONTROLLER", "PROXIED", *(("SASL", "MUTUAL") if self._secured else ())]
        self._ports = {name: free_port() for name in names}
        self.proxied = (self._ports["PROXIED"], free_port())
        self._folder.mkdir(parents=True, exist_ok=True)
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        tool = ["kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", str(properties)]
        made = subprocess.run([*self._java(), *tool], capture_output=True, text=True, check=False)
        if made.returncode:
            raise BrokerUnavailable(f"the broker's folder could not be formatted: {made.stdout}{made.stderr}")

    def _properties(self) -> dict[str, str]:
        listeners = ",".join(f"{name}://{_HOST}:{port}" for name, port in self._ports.items())
        told = {**self._ports, "PROXIED": self.proxied[1]}
        advertised = ",".join(f"{name}://{_HOST}:{port}" for name, port in told.items() if name != "CONTROLLER")
        own = {
            "listeners": listeners,
            "advertised.listeners": advertised,
            "listener.security.protocol.map": ",".join(f"{name}:{_PROTOCOLS[name]}" for name in self._ports),
            "controller.quorum.voters": f"1@{_HOST}:{self._ports['CONTROLLER']}",
            "log.dirs": str(self._folder / "data"),
        }
        return {**_SETTINGS, **own, **(self._security() if self._secured else {}), **self._settings}

    def _security(self) -> dict[str, str]:
        server = self._authority().issue("broker")
        keystore = self._folder / "certificates" / "broker.keystore.pem"
        keystore.write_text(server.key.read_text() + server.certificate.read_text())
        return {**_SECURED, "ssl.keystore.location": str(keystore), "ssl.truststore.location": str(self.ca)}

    def _java(self) -> list[str]:
        # A broker must not outlive tests that were killed; where setpriv is missing it would.
        guarded = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        memory = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        loaded = [f"-XX:SharedArchiveFile={CLASSES}"] if CLASSES.exists() else []
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        return [*guarded, "java", *memory, *loaded, logging, "-cp", str(checked_jars() / "*")]

    def _launch(self) -> None:
        kept = [f"-XX:ArchiveClassesAtExit={self._archive}"] if self._archive else []
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java(), *kept, "kafka.Kafka", str(self._folder / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C at a terminal is for the demo, which ends the broker last
            )

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._running().poll() is not None:
                raise BrokerUnavailable(f"the broker ended at its start: {self.log()[-2000:]}")
            if self._answers():
                return
            time.sleep(0.1)
        raise BrokerUnavailable(f"no answer from the broker after {_START_SECONDS:.0f} s: {self.log()[-2000:]}")

    def _answers(self) -> bool:
        from kafka.errors import KafkaError

        try:
            with socket.create_connection((_HOST, self._ports["PLAIN"]), timeout=1):
                pass
            admin = self.admin()
        except (OSError, KafkaError):
            return False
        try:
            admin.list_group_offsets("launcher")  # the coordinator of groups is the last to come
            return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()


def archive_classes() -> None:
    """Run a broker once, so that all later ones find `CLASSES` and start with three fifths of the work."""
    if CLASSES.exists():
        return
    with tempfile.TemporaryDirectory(prefix="depois-kafka-", dir=CLASSES.parent) as folder:
        archive = Path(folder) / CLASSES.name
        with Broker(Path(folder), archive=archive) as broker:
            broker.stop()
        if archive.exists():
            archive.rename(CLASSES)


def main() -> int:
    """Install Kafka, or run a broker until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m deploy.kafka.launcher", description=__doc__)
    parser.add_argument("command", choices=("install", "run"), help="install: fetch and check the jars; run: a broker")
    parser.add_argument("--secured", action="store_true", help="run: also SASL_SSL, mTLS and an authorizer")
    options = parser.parse_args()
    try:
        folder = install()
        if options.command == "install":
            archive_classes()
            sys.stdout.write(f"Kafka is installed in {folder}\n")
            return 0
        return _run(secured=options.secured)
    except BrokerUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run(*, secured: bool) -> int:
    with tempfile.TemporaryDirectory(prefix="depois-kafka-") as folder, Broker(Path(folder), secured=secured) as broker:
        sys.stdout.write(f"A broker listens at {broker.bootstrap}; Ctrl-C ends it and deletes its data.\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        broker.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
