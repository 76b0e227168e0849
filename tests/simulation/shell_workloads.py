"""Clients of a simulated cluster, each a task that does one thing after the other and notes what it saw."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from checkers.bank import Reading, judge_bank
from checkers.histories import NEVER, Append, ListTransaction, Look, Outcome, Read, RegisterCall, Swap, Write
from checkers.list_append import external_reads, judge
from checkers.registers import TooTangled, judge_registers
from checkers.snapshots import judge_snapshots, judge_stale_reads

from rutile_kv.client.client import Client
from rutile_kv.client.pessimistic import PessimisticTransaction
from rutile_kv.client.replicas import ReadFrom
from rutile_kv.client.transaction import Transaction
from rutile_proto.errors import RutileError, UndeterminedResult
from rutile_proto.timestamps import LOGICAL_BITS

LISTS = 4
REGISTERS = 3
ACCOUNTS = 5
EACH = 100


def list_key(key: int) -> bytes:
    return b"list%d" % key


def account_key(account: int) -> bytes:
    return b"account%d" % account


def register_key(register: int) -> bytes:
    return b"register%d" % register


SPLIT_KEYS = [b"account1", b"account3", b"b", b"list1", b"list2", b"list3", b"register0", b"register1", b"z"]


@dataclass
class Histories:
    """What all clients of a run saw."""

    lists: list[ListTransaction] = field(default_factory=list)
    stale_reads: list[ListTransaction] = field(default_factory=list)
    """Of lists, at timestamps from before they were asked for."""
    registers: list[RegisterCall] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    timestamps: list[str] = field(default_factory=list)
    """Complaints about timestamps."""
    newest_timestamp: int = 0
    """That anybody has been given."""
    transfers: int = 0
    undecided: bool = False
    _ids: int = 0

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def problems(self) -> list[str]:
        """Everything that contradicts what the cluster promises."""
        return [
            *self.timestamps,
            *map(str, judge(self.lists).forbidden),
            *judge_snapshots(self.lists),
            *judge_stale_reads(self.stale_reads, self.lists),
            *judge_bank(self.readings, range(ACCOUNTS), ACCOUNTS * EACH),
            *self._register_problems(),
        ]

    def _register_problems(self) -> list[str]:
        try:
            return [str(verdict) for verdict in judge_registers(self.registers)]
        except TooTangled:
            self.undecided = True
            return []


class Worker:
    """One client at work, until told to stop."""

    def __init__(self, client: Client, seed: int, histories: Histories, note: Callable[[str], None]) -> None:
        self.client = client
        self.dice = random.Random(seed)
        self.histories = histories
        self.note = note
        self.stopped = False

    async def run(self) -> None:
        while not self.stopped:
            await self.work()
            await asyncio.sleep(self.dice.uniform(0, 0.1))

    async def work(self) -> None:
        raise NotImplementedError

    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def begin(self, pessimistic: bool) -> Transaction:
        if pessimistic:
            return await self.client.begin(pessimistic=True)
        return await self.client.begin()


class ListWorker(Worker):
    """Transactions of one to four steps over lists; every fifth is a look at all of them."""

    async def work(self) -> None:
        if self.dice.random() < 0.2:
            await self.look()
        else:
            await self.change()

    async def look(self) -> None:
        """All lists as of one moment."""
        invoked = self.now_s()
        try:
            snapshot = self.client.snapshot(await self.client.timestamp())
            if self.dice.random() < 0.5:
                found = await snapshot.batch_get([list_key(key) for key in range(LISTS)])
            else:
                found = dict(await snapshot.scan(b"list0", b"list9"))
        except RutileError:
            return
        steps = tuple(Read(key, elements_of(found.get(list_key(key)))) for key in range(LISTS))
        self._note_list(steps, Outcome.OK, invoked, snapshot.ts, snapshot.ts)

    async def change(self) -> None:
        """Read lists, and append to some."""
        invoked, steps, start_ts, commit_ts, locking = self.now_s(), [], 0, 0, False
        try:
            transaction = await self.begin(self.dice.random() < 0.4)
            start_ts, locking = transaction.start_ts, self.dice.random() < 0.7
            locking &= isinstance(transaction, PessimisticTransaction)
            for _ in range(self.dice.randint(1, 4)):
                await self._step(transaction, steps, locking)
            commit_ts, outcome = await transaction.commit(), Outcome.OK
        except UndeterminedResult:
            outcome = Outcome.UNKNOWN
        except RutileError:
            outcome = Outcome.FAILED
            if start_ts:
                await _roll_back(transaction)
        if not any(isinstance(step, Append) for step in steps) and outcome is Outcome.OK:
            commit_ts = start_ts
        if locking:
            self._note_locking(tuple(steps), outcome, invoked, commit_ts)
            return
        self._note_list(tuple(steps), outcome, invoked, start_ts, commit_ts)

    async def _step(self, transaction: Transaction, steps: list[Append | Read], locking: bool) -> None:
        key = self.dice.randrange(LISTS)
        value = await read(transaction, list_key(key), locking)
        if locking:
            await asyncio.sleep(self.dice.uniform(0, 0.2))
        steps.append(Read(key, elements_of(value)))
        if self.dice.random() < 0.5:
            element = self.histories.next_id()
            transaction.put(list_key(key), value + b"%d," % element)
            steps.append(Append(key, element))

    def _note_list(
        self, steps: tuple[Append | Read, ...], outcome: Outcome, invoked: float, start_ts: int, commit_ts: int
    ) -> None:
        """What a transaction without a happy end has read must be a snapshot all the same: a reader of its own."""
        histories, now = self.histories, self.now_s()
        completed = NEVER if outcome is Outcome.UNKNOWN else now
        noted = ListTransaction(histories.next_id(), steps, outcome, invoked, completed, start_ts, commit_ts)
        histories.lists.append(noted)
        self.note(f"list transaction {noted.id} at {start_ts}: {outcome.name}")
        reads = tuple(Read(key, elements) for key, elements in external_reads(noted).items())
        if outcome is not Outcome.OK and reads:
            reader = ListTransaction(histories.next_id(), reads, Outcome.OK, invoked, now, start_ts, start_ts)
            histories.lists.append(reader)

    def _note_locking(self, steps: tuple[Append | Read, ...], outcome: Outcome, invoked: float, commit_ts: int) -> None:
        """What was read under locks is what there was just before the commit. Of one that wrote nothing there is no
        commit to tell when that was, and one that failed may have lost its locks between two reads."""
        histories = self.histories
        completed = NEVER if outcome is Outcome.UNKNOWN else self.now_s()
        wrote = outcome is Outcome.OK and any(isinstance(step, Append) for step in steps)
        before, at = (commit_ts - 1, commit_ts) if wrote else (0, 0)
        noted = ListTransaction(histories.next_id(), steps, outcome, invoked, completed, before, at)
        histories.lists.append(noted)
        self.note(f"locking list transaction {noted.id}: {outcome.name} at {at}")


class FollowerReader(Worker):
    """Looks at all lists through replicas: as fresh as leaders are, or as of a moment that has passed."""

    async def work(self) -> None:
        invoked, read_from = self.now_s(), self.dice.choice((ReadFrom.CLOSEST, ReadFrom.STALE))
        try:
            ts = await self.client.timestamp()
            if read_from is ReadFrom.STALE:
                ts = max(1, ts - (self.dice.randint(0, 3_000) << LOGICAL_BITS))
            snapshot = self.client.snapshot(ts, read_from)
            found = await snapshot.batch_get([list_key(key) for key in range(LISTS)])
        except RutileError:
            return
        reads = tuple(Read(key, elements_of(found.get(list_key(key)))) for key in range(LISTS))
        self.note(f"{read_from.name} read at {ts}")
        histories = self.histories
        noted = ListTransaction(histories.next_id(), reads, Outcome.OK, invoked, self.now_s(), ts, ts)
        (histories.lists if read_from is ReadFrom.CLOSEST else histories.stale_reads).append(noted)


class BankWorker(Worker):
    """Moves money; every third time it counts it."""

    async def work(self) -> None:
        try:
            if self.dice.random() < 0.33:
                await self.count()
            else:
                await self.transfer()
        except RutileError as error:
            self.note(f"bank: {type(error).__name__}")

    async def count(self) -> None:
        invoked = self.now_s()
        snapshot = self.client.snapshot(await self.client.timestamp())
        found = await snapshot.batch_get([account_key(account) for account in range(ACCOUNTS)])
        balances = {int(key.removeprefix(b"account")): int(value) for key, value in found.items()}
        self.note(f"bank: {sorted(balances.items())}")
        self.histories.readings.append(Reading(balances, invoked))

    async def transfer(self) -> None:
        giver, taker = self.dice.sample(range(ACCOUNTS), 2)
        transaction = await self.begin(self.dice.random() < 0.5)
        locking = self.dice.random() < 0.7
        try:
            had = int(await read(transaction, account_key(giver), locking) or 0)
            has = int(await read(transaction, account_key(taker), locking) or 0)
            amount = self.dice.randint(0, had)
            transaction.put(account_key(giver), b"%d" % (had - amount))
            transaction.put(account_key(taker), b"%d" % (has + amount))
            await transaction.commit()
            self.histories.transfers += 1
        except RutileError:
            await _roll_back(transaction)
            raise


class RegisterWorker(Worker):
    """Reads, writes and swaps of single keys."""

    async def work(self) -> None:
        register, value = self.dice.randrange(REGISTERS), self.histories.next_id()
        act = self.dice.choice((self._look, self._write, self._swap))
        invoked, self._doing = self.now_s(), None
        try:
            await act(register_key(register), value)
            outcome = Outcome.OK
        except UndeterminedResult:
            outcome = Outcome.UNKNOWN
        except RutileError:
            outcome = Outcome.FAILED
        if self._doing is not None:
            completed = NEVER if outcome is Outcome.UNKNOWN else self.now_s()
            self.note(f"register {register}: {self._doing} {outcome.name}")
            self.histories.registers.append(RegisterCall(register, self._doing, invoked, completed, outcome))

    _doing: Look | Write | Swap | None = None

    async def _look(self, key: bytes, value: int) -> None:
        found = await self.client.snapshot(await self.client.timestamp()).get(key)
        self._doing = Look(None if found is None else int(found))

    async def _write(self, key: bytes, value: int) -> None:
        self._doing = Write(value)
        async with await self.client.begin() as transaction:
            transaction.put(key, b"%d" % value)

    async def _swap(self, key: bytes, value: int) -> None:
        async with await self.client.begin() as transaction:
            found = await transaction.get(key)
            self._doing = Swap(None if found is None else int(found), value)
            transaction.put(key, b"%d" % value)


class ClockWatcher(Worker):
    """Timestamps only rise, whoever asks and whoever leads: shared by all watchers of a run."""

    async def work(self) -> None:
        before = self.histories.newest_timestamp
        try:
            found = await self.client.timestamp()
        except RutileError:
            return
        if found <= before:
            self.histories.timestamps.append(f"timestamp {found} after {before} had been given out")
        self.histories.newest_timestamp = max(self.histories.newest_timestamp, found)


async def read(transaction: Transaction, key: bytes, locking: bool) -> bytes:
    """The key's value as the transaction began, or `locking`, if it can: under a lock and as of now."""
    if locking and isinstance(transaction, PessimisticTransaction):
        return await transaction.get_for_update(key) or b""
    return await transaction.get(key) or b""


async def _roll_back(transaction: Transaction) -> None:
    try:
        await transaction.rollback()
    except RutileError:
        return  # its locks are resolved by whoever meets them


def elements_of(value: bytes | None) -> tuple[int, ...]:
    """A list as it is stored: its elements, each with a comma after it."""
    return tuple(int(each) for each in (value or b"").decode().split(",") if each)
