"""Users of a secured broker, what they are allowed, and how aiokafka is told to be one of them."""

from __future__ import annotations

import ssl
from typing import Any

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.kafka.launcher import Broker


def with_user(broker: Broker, name: str, password: str) -> dict[str, Any]:
    """Makes the user at the broker, and gives what a client at `sasl_bootstrap` needs to be it."""
    admin = broker.admin()
    admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, ScramMechanism.SCRAM_SHA_512, password)])
    admin.close()
    return sasl(broker, name, password)


def sasl(broker: Broker, name: str, password: str) -> dict[str, Any]:
    """The arguments of an aiokafka client that says that it is `name`."""
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": name,
        "sasl_plain_password": password,
        "ssl_context": ssl.create_default_context(cafile=str(broker.ca)),
    }


def rule(user: str, operation: str, *, topic: str | None = None, group: str | None = None) -> ACL:
    """That `user` may do `operation` to a topic or to a group."""
    kind, name = (ResourceType.GROUP, group) if group is not None else (ResourceType.TOPIC, topic)
    pattern = ResourcePattern(kind, name)
    return ACL(f"User:{user}", "*", ACLOperation[operation], ACLPermissionType.ALLOW, pattern)


def allow(broker: Broker, user: str, operation: str, *, topic: str | None = None, group: str | None = None) -> None:
    """Lets `user` do `operation`, as the administrator would."""
    admin = broker.admin()
    admin.create_acls([rule(user, operation, topic=topic, group=group)])
    admin.close()


def forbid(broker: Broker, user: str, operation: str, *, topic: str | None = None, group: str | None = None) -> None:
    """Takes back what `allow` gave."""
    admin = broker.admin()
    admin.delete_acls([rule(user, operation, topic=topic, group=group)])
    admin.close()
