"""The one tree of exceptions: each says what is wrong, and what to do, and with which code a command ends."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BundleRefused",
    "GateRefused",
    "GuardError",
    "InputUnreadable",
    "MissingRuntime",
    "OutputFailed",
    "RegistryRefused",
    "SnapshotRefused",
    "TrainingFailed",
    "WrongUse",
]


class GuardError(Exception):
    """Root of every error that this product raises on purpose.

    The message names the thing that is wrong (file, row, column, offset) and ends with what to do about it.
    """

    exit_code: ClassVar[int] = 1


class WrongUse(GuardError):
    """A command or function was asked for something that cannot be meant."""

    exit_code: ClassVar[int] = 2


class InputUnreadable(GuardError):
    """An input file as a whole cannot be read: absent, of an unknown kind, or broken beyond single records."""


class OutputFailed(GuardError):
    """An output cannot be written: no permission, no space, or already there."""


class SnapshotRefused(GuardError):
    """A snapshot is too small, inconsistent or damaged to learn from."""


class TrainingFailed(GuardError):
    """A training job could not make a bundle that can be trusted; nothing was written."""


class BundleRefused(GuardError):
    """A model bundle is missing, damaged, tampered with or of a newer format; nothing of it was used."""


class GateRefused(GuardError):
    """A gate, audit, comparison or agreement is missing, damaged, edited or about something else."""


class RegistryRefused(GuardError):
    """A registry is in use, damaged, or will not let a bundle serve; what served before goes on."""


class MissingRuntime(GuardError):
    """A package that the command needs is not installed; the message holds the command that installs it."""
