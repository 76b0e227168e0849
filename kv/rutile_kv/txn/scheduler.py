"""The scheduler core: commands queue for latches, read, decide, write, answer.

    Submit -> [latches free?] -> TakeSnapshot -> SnapshotTaken -> process -> WriteModifies -> WriteDone -> Reply
                    |                  |                             |              |
                 waits until       SnapshotFailed                TxnError      WriteFailed  -> Fail
                 the last owner is through

A command holds its latches until it is over, so whoever comes next on the same keys reads what it wrote.
"""

from dataclasses import dataclass
from typing import Any, assert_never

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.events import (
    Effect,
    Event,
    Fail,
    Reply,
    SnapshotFailed,
    SnapshotTaken,
    Submit,
    TakeSnapshot,
    WriteDone,
    WriteFailed,
    WriteModifies,
)
from rutile_kv.txn.guards import Guards
from rutile_kv.txn.latches import Latches
from rutile_kv.txn.model import Command, Outcome
from rutile_proto.errors import ServerIsBusy

MAX_COMMANDS = 10_000
"""Commands under way at a time; more are told that the server is busy."""


@dataclass(slots=True)
class _Task:
    command: Command[Any]
    keys: tuple[bytes, ...]
    """Latched, each once."""
    outcome: Outcome[Any] | None = None
    """Set while its modifies are being written."""


class Scheduler:
    """Synchronous and deterministic: events in, effects out, in the order they are to be started."""

    def __init__(self) -> None:
        self.guards = Guards()
        self._latches = Latches()
        self._tasks: dict[int, _Task] = {}

    def __len__(self) -> int:
        """How many commands are under way."""
        return len(self._tasks)

    def handle(self, event: Event) -> list[Effect]:
        """What to do about `event`. KeyError for a token that is not under way."""
        match event:
            case Submit():
                return self._submit(event)
            case SnapshotTaken():
                return self._process(event)
            case WriteDone():
                return self._written(event.token)
            case SnapshotFailed() | WriteFailed():
                return [Fail(event.token, event.error), *self._end(event.token)]
            case _:
                assert_never(event)

    def _submit(self, event: Submit) -> list[Effect]:
        if event.token in self._tasks:
            raise ValueError(f"token {event.token} is under way already")
        if len(self._tasks) >= MAX_COMMANDS:
            return [Fail(event.token, ServerIsBusy(f"{MAX_COMMANDS} transaction commands are under way"))]
        task = _Task(event.command, tuple(dict.fromkeys(event.command.latch_keys())))
        self._tasks[event.token] = task
        ready = self._latches.acquire(event.token, task.keys)
        return [TakeSnapshot(event.token, event.command)] if ready else []

    def _process(self, event: SnapshotTaken) -> list[Effect]:
        task = self._tasks[event.token]
        try:
            outcome = task.command.process(MvccReader(event.reader), event.max_ts)
        except Exception as error:  # whatever it is, the caller hears of it and the latches are given back
            return [Fail(event.token, error), *self._end(event.token)]
        if not outcome.modifies:
            return [Reply(event.token, outcome.result), *self._end(event.token)]
        task.outcome = outcome
        self.guards.add(outcome.guards)
        return [WriteModifies(event.token, outcome.modifies)]

    def _written(self, token: int) -> list[Effect]:
        outcome = self._tasks[token].outcome
        assert outcome is not None, f"{token} was written without having been processed"
        return [Reply(token, outcome.result), *self._end(token)]

    def _end(self, token: int) -> list[Effect]:
        """Forget the command, and start those that waited for its latches."""
        task = self._tasks.pop(token)
        if task.outcome is not None:
            self.guards.remove(task.outcome.guards)
        ready = self._latches.release(token, task.keys)
        return [TakeSnapshot(waiting, self._tasks[waiting].command) for waiting in ready]
