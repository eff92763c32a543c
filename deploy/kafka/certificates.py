"""Throw-away certificates for the broker's TLS listeners: one authority, one server, one client per name."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.kafka.artefacts import BrokerUnavailable, missing_tool

__all__ = ["Certificates", "Identity"]


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Certificates:
    """A certificate authority in `folder`. Made anew for each broker: nothing here protects anything real."""

    def __init__(self, folder: Path) -> None:
        if reason := missing_tool("openssl"):
            raise BrokerUnavailable(reason)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.ca = folder / "ca.pem"
        if not self.ca.exists():
            self._openssl("req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")

    def issue(self, name: str) -> Identity:
        """The certificate of `name`, valid for 127.0.0.1 and localhost; the same one when asked again."""
        identity = Identity(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        if not identity.certificate.exists():
            request, extensions = f"{name}.csr", self._folder / "names.cnf"
            extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
            self._openssl("req", "-new", *_KEY, "-keyout", identity.key.name, "-out", request, "-subj", f"/CN={name}")
            signed = ["x509", "-req", "-in", request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
            self._openssl(*signed, "-out", identity.certificate.name, "-days", "30", "-extfile", extensions.name)
        return identity

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, capture_output=True, check=True)


_KEY = ("-newkey", "rsa:2048", "-nodes")
"""Not encrypted: a broker that must be given a passphrase would only have it in the file beside the key."""
