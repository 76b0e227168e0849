"""What the scheduler core hears (events) and asks for (effects). `token` names one command from Submit to its end."""

from typing import Any, TypeAlias

from rutile_kv.engine.api import Modify, Reader
from rutile_kv.txn.memory_locks import NO_LEADERSHIP, Leadership
from rutile_kv.txn.model import Command
from rutile_proto.values import valueclass

# --- events ---


@valueclass
class Submit:
    """A new command. Tokens are not used twice at a time."""

    token: int
    command: Command[Any]


@valueclass
class SnapshotTaken:
    """A linearizable view for a command that asked for one. It is read before `handle` returns, and not after."""

    token: int
    reader: Reader
    max_ts: int = 0
    """The newest timestamp read at, 0 if not known."""
    leadership: Leadership = NO_LEADERSHIP
    """What the view was taken under."""


@valueclass
class SnapshotFailed:
    """No view could be had: the region moved, or this is not its leader."""

    token: int
    error: Exception


@valueclass
class WriteDone:
    """The command's modifies are applied."""

    token: int


@valueclass
class WriteFailed:
    """They are surely not applied, or (UndeterminedResult) nobody knows."""

    token: int
    error: Exception


Event: TypeAlias = Submit | SnapshotTaken | SnapshotFailed | WriteDone | WriteFailed

# --- effects ---


@valueclass
class TakeSnapshot:
    """The command holds its latches: get it a view, answer SnapshotTaken or SnapshotFailed."""

    token: int
    command: Command[Any]


@valueclass
class WriteModifies:
    """Replicate and apply these, answer WriteDone or WriteFailed."""

    token: int
    modifies: list[Modify]


@valueclass
class LocksTaken:
    """The command's modifies are of locks, and were made in memory: tell who waits for locks. Its Reply follows."""

    token: int
    modifies: list[Modify]


@valueclass
class Reply:
    """The command is done; its result may be given now, for what it wrote is applied."""

    token: int
    result: Any


@valueclass
class Fail:
    """The command is over without effect (unless the error is UndeterminedResult)."""

    token: int
    error: Exception


Effect: TypeAlias = TakeSnapshot | WriteModifies | LocksTaken | Reply | Fail
