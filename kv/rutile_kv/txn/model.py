"""What all transaction commands have in common: mutations, the Command protocol, outcomes, protocol numbers."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Generic, Protocol, TypeVar

from rutile_kv.engine.api import Modify
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Lock
from rutile_proto.errors import KeyIsLocked, LockFacts
from rutile_proto.values import valueclass

ResultT_co = TypeVar("ResultT_co", covariant=True)


class Op(IntEnum):
    """kvrpcpb.Op: what a mutation asks for."""

    PUT = 0
    DELETE = 1
    LOCK = 2
    ROLLBACK = 3
    INSERT = 4
    PESSIMISTIC_LOCK = 5
    CHECK_NOT_EXISTS = 6


class Assertion(IntEnum):
    """kvrpcpb.Assertion: what the client believes of the key."""

    NONE = 0
    EXIST = 1
    NOT_EXIST = 2


class AssertionLevel(IntEnum):
    """kvrpcpb.AssertionLevel: which assertions are checked."""

    OFF = 0
    FAST = 1
    """Where it costs no extra read: not on keys a pessimistic transaction has locked."""
    STRICT = 2


class PessimisticAction(IntEnum):
    """kvrpcpb.PrewriteRequest.PessimisticAction: what a pessimistic transaction has done about the key before."""

    SKIP = 0
    """Not locked, and need not be: nobody else can want it."""
    LOCKED = 1
    """Locked: the lock must still be there."""
    CHECK_NOW = 2
    """Not locked: check for conflicts as an optimistic transaction does."""


@valueclass
class Mutation:
    """One key of a prewrite or pessimistic lock request. Numbers are kvrpcpb's."""

    op: int
    key: bytes
    value: bytes = b""
    assertion: int = Assertion.NONE
    pessimistic_action: int = PessimisticAction.SKIP


@valueclass
class Outcome(Generic[ResultT_co]):
    """What a command wants written, and what it answers once that is applied."""

    modifies: list[Modify]
    """Empty: nothing to write, the result may be given at once."""
    result: ResultT_co
    guards: tuple[tuple[bytes, Lock], ...] = ()
    """(user key, lock) that readers must respect from now on, although the lock is not applied yet: see `guards`."""
    may_be_lost: bool = False
    """The modifies are of pessimistic locks, each looked at before, and nothing else: see `memory_locks`."""


class Command(Protocol[ResultT_co]):
    """One verb. Commands on common keys run one after another; each sees what the one before it wrote."""

    def latch_keys(self) -> Sequence[bytes]:
        """The user keys it may write."""

    def process(self, reader: MvccReader, max_ts: int) -> Outcome[ResultT_co]:
        """Decide, from what is stored now. Raises TxnError, and then nothing is written.

        `max_ts` is the newest timestamp anything was read at here, or 0 when that is not known.
        """


class ManyLocked(KeyIsLocked):
    """Several keys of one request are locked; `lock` is the first, `locks` are all."""

    def __init__(self, locks: Sequence[LockFacts]) -> None:
        super().__init__(locks[0])
        self.locks = tuple(locks)
