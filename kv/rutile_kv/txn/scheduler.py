"""The scheduler core: commands queue for latches, read, decide, write, answer.

    Submit -> [latches free?] -> TakeSnapshot -> SnapshotTaken -> process -> WriteModifies -> WriteDone -> Reply
                    |                  |                             |              |
                 waits until       SnapshotFailed                TxnError      WriteFailed  -> Fail
                 the last owner is through                       or pessimistic locks: done in memory -> Reply

A command holds its latches until it is over, so whoever comes next on the same keys reads what it wrote.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, assert_never

from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.txn.events import (
    Effect,
    Event,
    Fail,
    LocksTaken,
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
from rutile_kv.txn.memory_locks import NO_LEADERSHIP, Leadership, MemoryLocks
from rutile_kv.txn.model import Command, Outcome
from rutile_proto.errors import ServerIsBusy, UndeterminedResult

MAX_COMMANDS = 10_000
"""Commands under way at a time; more are told that the server is busy."""


class Phase(Enum):
    """Where a command stands; the events it may get next."""

    WAITING = auto()
    """For latches: no event."""
    READING = auto()
    """Holds its latches: SnapshotTaken or SnapshotFailed."""
    WRITING = auto()
    """Decided: WriteDone or WriteFailed."""


class UnexpectedEvent(ValueError):
    """An event for a command that is not there, or not at the point where the event belongs. Nothing was changed."""


@dataclass(slots=True)
class _Task:
    command: Command[Any]
    keys: tuple[bytes, ...]
    """Latched, each once."""
    phase: Phase
    outcome: Outcome[Any] | None = None
    """Set while its modifies are being written."""
    leadership: Leadership = NO_LEADERSHIP
    """What it was decided under."""


class Scheduler:
    """Synchronous and deterministic: events in, effects out, in the order they are to be started."""

    def __init__(self, *, locks_in_memory: bool = True) -> None:
        self.guards = Guards()
        self.memory_locks = MemoryLocks(enabled=locks_in_memory)
        self._latches = Latches()
        self._tasks: dict[int, _Task] = {}

    def __len__(self) -> int:
        """How many commands are under way."""
        return len(self._tasks)

    def handle(self, event: Event) -> list[Effect]:
        """What to do about `event`. Raises UnexpectedEvent."""
        match event:
            case Submit():
                return self._submit(event)
            case SnapshotTaken():
                return self._process(self._expect(event, Phase.READING), event)
            case WriteDone():
                return self._written(self._expect(event, Phase.WRITING), event.token)
            case SnapshotFailed():
                return self._failed(event, Phase.READING)
            case WriteFailed():
                return self._failed(event, Phase.WRITING)
            case _:
                assert_never(event)

    def phase(self, token: int) -> Phase | None:
        """Where the command stands; None if it is not under way."""
        task = self._tasks.get(token)
        return None if task is None else task.phase

    def _expect(self, event: Event, phase: Phase) -> _Task:
        task = self._tasks.get(event.token)
        if task is None or task.phase is not phase:
            where = "not under way" if task is None else task.phase.name.lower()
            raise UnexpectedEvent(f"{type(event).__name__} for command {event.token}, which is {where}")
        return task

    def _submit(self, event: Submit) -> list[Effect]:
        if event.token in self._tasks:
            raise UnexpectedEvent(f"command {event.token} is under way already")
        if len(self._tasks) >= MAX_COMMANDS:
            return [Fail(event.token, ServerIsBusy(f"{MAX_COMMANDS} transaction commands are under way"))]
        task = _Task(event.command, tuple(dict.fromkeys(event.command.latch_keys())), Phase.WAITING)
        self._tasks[event.token] = task
        return self._read([event.token] if self._latches.acquire(event.token, task.keys) else [])

    def _read(self, tokens: list[int]) -> list[Effect]:
        """Let commands that hold their latches now take their views."""
        for token in tokens:
            self._tasks[token].phase = Phase.READING
        return [TakeSnapshot(token, self._tasks[token].command) for token in tokens]

    def _process(self, task: _Task, event: SnapshotTaken) -> list[Effect]:
        view = self.memory_locks.over(event.reader, event.leadership)
        try:
            outcome = task.command.process(MvccReader(view), event.max_ts)
        except Exception as error:  # whatever it is, the caller hears of it and the latches are given back
            return [Fail(event.token, error), *self._end(event.token)]
        if not outcome.modifies:
            return [Reply(event.token, outcome.result), *self._end(event.token)]
        if outcome.may_be_lost and self.memory_locks.take(view, outcome.modifies):
            taken = LocksTaken(event.token, outcome.modifies)
            return [taken, Reply(event.token, outcome.result), *self._end(event.token)]
        task.outcome, task.leadership, task.phase = outcome, event.leadership, Phase.WRITING
        self.guards.add(outcome.guards)
        return [WriteModifies(event.token, outcome.modifies)]

    def _written(self, task: _Task, token: int) -> list[Effect]:
        assert task.outcome is not None, "a command that writes has an outcome"
        self.memory_locks.written(task.leadership, task.outcome.modifies)
        return [Reply(token, task.outcome.result), *self._end(token)]

    def _failed(self, event: SnapshotFailed | WriteFailed, phase: Phase) -> list[Effect]:
        task = self._expect(event, phase)
        if task.outcome is not None and isinstance(event.error, UndeterminedResult):
            self.memory_locks.written(task.leadership, task.outcome.modifies)
        return [Fail(event.token, event.error), *self._end(event.token)]

    def _end(self, token: int) -> list[Effect]:
        """Forget the command, and start those that waited for its latches."""
        task = self._tasks.pop(token)
        if task.outcome is not None:
            self.guards.remove(task.outcome.guards)
        return self._read(self._latches.release(token, task.keys))
