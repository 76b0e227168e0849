"""The commands that look before they write. Each holds its keys alone while it does (`latches`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from rutile_kv.engine.api import Cf, Modify, Reader
from rutile_kv.raw.reader import RawReader
from rutile_kv.raw.values import decode_value, encode_value, has_expired

ResultT_co = TypeVar("ResultT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[ResultT_co]):
    """What a command wants written (perhaps nothing), and what it answers once that is applied."""

    modifies: list[Modify]
    result: ResultT_co


class Command(Protocol[ResultT_co]):
    """One verb: `keys` of family `cf` are its own from before `process` until what that returned is applied."""

    @property
    def cf(self) -> Cf: ...

    @property
    def keys(self) -> Sequence[bytes]: ...

    def process(self, reader: Reader) -> Outcome[ResultT_co]:
        """Decide, from what is stored now."""


@dataclass(frozen=True, slots=True)
class Swapped:
    """What a compare-and-swap did, and what it found."""

    succeeded: bool
    previous: bytes | None


@dataclass(frozen=True, slots=True)
class CompareAndSwap:
    """Put `value` if `key` holds `expected` (None: if there is no such key). `value` None deletes the key."""

    cf: Cf
    key: bytes
    expected: bytes | None
    value: bytes | None
    expires_at_s: int
    now_s: int

    @property
    def keys(self) -> Sequence[bytes]:
        return (self.key,)

    def process(self, reader: Reader) -> Outcome[Swapped]:
        previous = RawReader(reader, self.cf, self.now_s).get(self.key)
        if previous != self.expected:
            return Outcome([], Swapped(False, previous))
        if self.value is not None:
            stored = encode_value(self.value, self.expires_at_s)
            return Outcome([(self.cf, self.key, stored)], Swapped(True, previous))
        return Outcome([] if previous is None else [(self.cf, self.key, None)], Swapped(True, previous))


@dataclass(frozen=True, slots=True)
class RemoveExpired:
    """Delete those of `keys` that have expired by `now_s`: somebody may have written them since they were found.

    Answers how many it deleted.
    """

    cf: Cf
    keys: Sequence[bytes]
    now_s: int

    def process(self, reader: Reader) -> Outcome[int]:
        doomed: list[Modify] = [(self.cf, key, None) for key in self.keys if self._has_expired(reader, key)]
        return Outcome(doomed, len(doomed))

    def _has_expired(self, reader: Reader, key: bytes) -> bool:
        stored = reader.get(self.cf, key)
        return stored is not None and has_expired(decode_value(stored)[1], self.now_s)
