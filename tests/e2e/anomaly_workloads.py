"""Clients that work a cluster hard and note everything they saw, for the checkers of `tests/checkers`.

Each worker is a thread. Lists are retired after a while and new ones begun, so that reads stay short however long the
run is; five are in use at any time.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from checkers.histories import (
    NEVER,
    Append,
    ListTransaction,
    Look,
    Outcome,
    Read,
    Recorder,
    RegisterCall,
    Swap,
    Write,
)
from checkers.list_append import external_reads

import rutile
from rutile_kv.client.sync import SyncClient, SyncTransaction
from rutile_proto.errors import RutileError, UndeterminedResult

LISTS = 5
REGISTERS = 5
APPENDS_PER_LIST = 60
GENERATIONS = 200


class ListPool:
    """Which lists are in use, and which element comes next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = [0] * LISTS
        self._appends = [0] * LISTS
        self._elements = 0

    def pick(self, dice: random.Random) -> int:
        """A list in use."""
        slot = dice.randrange(LISTS)
        return slot * GENERATIONS + self._begun[slot]

    def element_for(self, key: int) -> int:
        """An element nobody has had, to be appended to `key`."""
        slot = key // GENERATIONS
        with self._lock:
            self._elements += 1
            self._appends[slot] += 1
            if self._appends[slot] % APPENDS_PER_LIST == 0:
                self._begun[slot] = min(self._begun[slot] + 1, GENERATIONS - 1)
            return self._elements

    def used(self) -> list[int]:
        """All lists there have been."""
        return [slot * GENERATIONS + each for slot in range(LISTS) for each in range(self._begun[slot] + 1)]


@dataclass
class Worker:
    """Does one thing after the other until told to stop."""

    seed: int
    stop: threading.Event
    unexpected: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def run(self) -> None:
        """The body of the thread."""
        try:
            while not self.stop.is_set():
                self.work()
        except BaseException as error:
            self.unexpected.append(error)
        finally:
            self.close()

    def work(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what it holds."""


@dataclass
class ListWorker(Worker):
    """Transactions of one to four steps over lists, every fifth of them a look at many lists at once."""

    pool: ListPool = field(default_factory=ListPool)
    history: Recorder[ListTransaction] = field(default_factory=Recorder)

    def work(self) -> None:
        invoked = time.monotonic()
        steps: list[Append | Read] = []
        keys = sorted({self.pool.pick(self.dice) for _ in range(LISTS)})
        if self.dice.random() < 0.2:
            outcome, start_ts, commit_ts = self.look(keys, steps)
        else:
            plan = [(self.dice.choice(keys), self.dice.random() < 0.5) for _ in range(self.dice.randint(1, 4))]
            outcome, start_ts, commit_ts = self.change(plan, steps)
        self.note(steps, outcome, invoked, start_ts, commit_ts)

    def look(self, keys: list[int], steps: list[Append | Read]) -> tuple[Outcome, int, int]:
        """Read all of `keys` as of one moment; outcome, start_ts and commit_ts (0: not known)."""
        raise NotImplementedError

    def change(self, plan: list[tuple[int, bool]], steps: list[Append | Read]) -> tuple[Outcome, int, int]:
        """A transaction that reads each key of the plan, and appends to it where the plan says so."""
        raise NotImplementedError

    def note(self, steps: list[Append | Read], outcome: Outcome, invoked: float, start_ts: int, commit_ts: int) -> None:
        """Into the history. What a transaction without a happy end has read must be a snapshot all the same, so that is
        noted as a transaction of its own."""
        now = time.monotonic()
        completed = NEVER if outcome is Outcome.UNKNOWN else now
        noted = ListTransaction(self.history.next_id(), tuple(steps), outcome, invoked, completed, start_ts, commit_ts)
        self.history.note(noted)
        reads = tuple(Read(key, elements) for key, elements in external_reads(noted).items())
        if outcome is not Outcome.OK and reads:
            reader = ListTransaction(self.history.next_id(), reads, Outcome.OK, invoked, now, start_ts, start_ts)
            self.history.note(reader)


def list_key(key: int) -> bytes:
    """Lists of one slot lie together: regions are split between slots."""
    slot, generation = divmod(key, GENERATIONS)
    return b"list%d/%04d" % (slot, generation)


def elements_of(value: bytes | str | None) -> tuple[int, ...]:
    """A list as it is stored: its elements, each with a comma after it."""
    text = value.decode() if isinstance(value, bytes) else value or ""
    return tuple(int(each) for each in text.split(",") if each)


@dataclass
class KvListWorker(ListWorker):
    """Through the key-value client: the whole list is read, and put back longer."""

    client: SyncClient = None  # type: ignore[assignment]

    def look(self, keys: list[int], steps: list[Append | Read]) -> tuple[Outcome, int, int]:
        try:
            snapshot = self.client.snapshot()
            if self.dice.random() < 0.5:
                found = snapshot.batch_get(map(list_key, keys))
            else:
                found = dict(snapshot.scan(list_key(0), list_key(LISTS * GENERATIONS)))
        except RutileError:
            return Outcome.FAILED, 0, 0
        steps.extend(Read(key, elements_of(found.get(list_key(key)))) for key in keys)
        return Outcome.OK, snapshot.ts, snapshot.ts

    def change(self, plan: list[tuple[int, bool]], steps: list[Append | Read]) -> tuple[Outcome, int, int]:
        try:
            transaction = self.client.begin()
        except RutileError:
            return Outcome.FAILED, 0, 0
        try:
            for key, appends in plan:
                self._step(transaction, key, appends, steps)
            return Outcome.OK, transaction.start_ts, transaction.commit()
        except UndeterminedResult:
            return Outcome.UNKNOWN, transaction.start_ts, 0
        except RutileError:
            return Outcome.FAILED, transaction.start_ts, 0

    def _step(self, transaction: SyncTransaction, key: int, appends: bool, steps: list[Append | Read]) -> None:
        value = transaction.get(list_key(key)) or b""
        steps.append(Read(key, elements_of(value)))
        if appends:
            element = self.pool.element_for(key)
            transaction.put(list_key(key), value + b"%d," % element)
            steps.append(Append(key, element))


LOST_CONNECTION = 2013
UNDETERMINED = "outcome of transaction"


def sql_outcome(error: rutile.DatabaseError) -> Outcome:
    """Whether a commit that ended so may have happened. Raises what is neither lost nor refused."""
    if error.code == LOST_CONNECTION or UNDETERMINED in error.message:
        return Outcome.UNKNOWN
    if isinstance(error, rutile.OperationalError):
        return Outcome.FAILED
    raise error


@dataclass
class SqlListWorker(ListWorker):
    """Through SQL: a row a list, made longer with CONCAT.

    Half of the transactions are pessimistic and lock all they read: without locks a pessimistic transaction reads as of
    its start and updates what is newest, as MySQL's do, which is no snapshot.
    """

    address: str = ""
    connection: rutile.Connection | None = None

    def look(self, keys: list[int], steps: list[Append | Read]) -> tuple[Outcome, int, int]:
        """A scan: it runs in the stores, not key by key."""
        marks = ", ".join("?" * len(keys))
        try:
            cursor = self._connected().execute(f"SELECT id, elements FROM lists WHERE id IN ({marks})", keys)
        except rutile.DatabaseError as error:
            sql_outcome(error)
            self._reconnect_after(error)
            return Outcome.FAILED, 0, 0
        found = dict(cursor.fetchall())
        steps.extend(Read(key, elements_of(found[key])) for key in keys)
        return Outcome.OK, 0, 0

    def change(self, plan: list[tuple[int, bool]], steps: list[Append | Read]) -> tuple[Outcome, int, int]:
        outcome = Outcome.FAILED
        connection = None
        try:
            connection = self._connected()
            if len(plan) == 1 and plan[0][1]:
                outcome = Outcome.UNKNOWN
                self._append(connection, plan[0][0], steps)
                return Outcome.OK, 0, 0
            mode, locking = self.dice.choice([("OPTIMISTIC", ""), ("PESSIMISTIC", " FOR UPDATE")])
            connection.execute(f"BEGIN {mode}")
            for key, appends in plan:
                row = connection.execute(f"SELECT elements FROM lists WHERE id = ?{locking}", (key,)).fetchone()
                steps.append(Read(key, elements_of(row[0] if row else None)))
                if appends:
                    self._append(connection, key, steps)
            outcome = Outcome.UNKNOWN
            connection.commit()
            return Outcome.OK, 0, 0
        except rutile.DatabaseError as error:
            told = sql_outcome(error)
            self._reconnect_after(error)
            return outcome if outcome is Outcome.FAILED else told, 0, 0
        finally:
            if connection is not None and connection is self.connection and connection.in_transaction:
                connection.rollback()

    def _append(self, connection: rutile.Connection, key: int, steps: list[Append | Read]) -> None:
        element = self.pool.element_for(key)
        steps.append(Append(key, element))
        connection.execute("UPDATE lists SET elements = CONCAT(elements, ?, ',') WHERE id = ?", (str(element), key))

    def _connected(self) -> rutile.Connection:
        if self.connection is None:
            self.connection = rutile.connect(self.address)
        return self.connection

    def _reconnect_after(self, error: rutile.DatabaseError) -> None:
        if error.code == LOST_CONNECTION:
            self.close()

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()


@dataclass
class RegisterWorker(Worker):
    """Reads, writes and swaps of single keys, each a transaction of its own."""

    client: SyncClient = None  # type: ignore[assignment]
    history: Recorder[RegisterCall] = field(default_factory=Recorder)

    def work(self) -> None:
        register = self.dice.randrange(REGISTERS)
        key = b"register%d" % register
        value = self.history.next_id()
        act: Callable[[bytes, int], Look | Write | Swap] = self.dice.choice([self._look, self._write, self._swap])
        invoked = time.monotonic()
        self._doing: Look | Write | Swap | None = None
        try:
            action, outcome = act(key, value), Outcome.OK
        except UndeterminedResult:
            action, outcome = self._doing, Outcome.UNKNOWN
        except RutileError:
            action, outcome = self._doing, Outcome.FAILED
        if action is not None:
            completed = NEVER if outcome is Outcome.UNKNOWN else time.monotonic()
            self.history.note(RegisterCall(register, action, invoked, completed, outcome))

    def _look(self, key: bytes, _: int) -> Look:
        return Look(_number(self.client.snapshot().get(key)))

    def _write(self, key: bytes, value: int) -> Write:
        self._doing = Write(value)
        with self.client.begin() as transaction:
            transaction.put(key, b"%d" % value)
        return Write(value)

    def _swap(self, key: bytes, value: int) -> Swap:
        with self.client.begin() as transaction:
            self._doing = Swap(_number(transaction.get(key)), value)
            transaction.put(key, b"%d" % value)
        return self._doing


def _number(value: bytes | None) -> int | None:
    return None if value is None else int(value)
