"""The verbs of the MVCC golden scripts: transaction commands and reads on a memory engine, and what is stored.

Timestamps are integers, or `100ms` for 100 milliseconds of physical time, or `100ms+3` with a logical part. Mutations
are words `op:key[:value[:flags]]` with op put, del, lock, insert or check, and flags of exist, absent, locked, now.
"""

from collections.abc import Callable, Iterator
from typing import Any

from goldenscript import Command

from rutile_kv.engine.api import CF_DEFAULT, CF_LOCK, CF_WRITE, Cf
from rutile_kv.engine.memory import MemoryEngine
from rutile_kv.mvcc.bulk import first_lock, read_visible
from rutile_kv.mvcc.reader import MvccReader
from rutile_kv.mvcc.records import Lock, Write
from rutile_kv.txn import commands
from rutile_kv.txn.commands import TxnStatus
from rutile_kv.txn.model import Assertion, Mutation, Op, PessimisticAction
from rutile_kv.txn.model import Command as TxnCommand
from rutile_proto.errors import KeyIsLocked, LockFacts, TxnError
from rutile_proto.keys import split_versioned, storage_bound, user_key
from rutile_proto.timestamps import MAX_TIMESTAMP, compose, logical, physical_ms

OPS = {"put": Op.PUT, "del": Op.DELETE, "lock": Op.LOCK, "insert": Op.INSERT, "check": Op.CHECK_NOT_EXISTS}
ASSERTIONS = {"exist": Assertion.EXIST, "absent": Assertion.NOT_EXIST}
ACTIONS = {"locked": PessimisticAction.LOCKED, "now": PessimisticAction.CHECK_NOW}


def parse_ts(text: str) -> int:
    if text == "max":
        return MAX_TIMESTAMP
    if "ms" not in text:
        return int(text)
    physical, _, rest = text.partition("ms")
    return compose(int(physical), int(rest or 0))


def show_ts(ts: int) -> str:
    if ts == MAX_TIMESTAMP:
        return "max"
    if ts < 1 << 18:
        return str(ts)
    return f"{physical_ms(ts)}ms" + (f"+{logical(ts)}" if logical(ts) else "")


def show_value(value: bytes) -> str:
    return value.decode() if len(value) < 40 else f"{value[:1].decode()}*{len(value)}"


def read_value(text: str) -> bytes:
    """`x*300` is 300 times x."""
    letter, star, times = text.partition("*")
    return letter.encode() * int(times) if star else text.encode()


class MvccRunner:
    errors = (TxnError,)

    def __init__(self) -> None:
        self.engine = MemoryEngine()

    def run(self, command: Command) -> str:
        verb: Callable[[Command], str] = getattr(self, f"do_{command.name}")
        return verb(command)

    # --- transaction commands ---

    def do_prewrite(self, command: Command) -> str:
        request = commands.Prewrite(
            tuple(_mutation(word) for word in command.words),
            primary=command.option("primary", command.word(0).split(":")[1]).encode(),
            start_ts=self._ts(command, "ts"),
            ttl_ms=command.number("ttl", 3000),
            min_commit_ts=self._ts(command, "min", "0"),
            max_commit_ts=self._ts(command, "most", "0"),
            for_update_ts=self._ts(command, "for_update", "0"),
            use_async_commit=command.flag("async"),
            secondaries=tuple(key.encode() for key in command.option("secondaries", "").split(",") if key),
            try_one_pc=command.flag("one_pc"),
            assertion_level=command.number("level", 0),
            is_retry=command.flag("retry"),
        )
        result = self._execute(request, self._ts(command, "max_ts", "0"))
        shown = [(name, getattr(result, name)) for name in ("min_commit_ts", "one_pc_commit_ts")]
        return " ".join(["prewritten", *(f"{name}={show_ts(value)}" for name, value in shown if value)])

    def do_commit(self, command: Command) -> str:
        self._execute(commands.Commit(self._ts(command, "ts"), self._ts(command, "at"), _keys(command)))
        return "committed"

    def do_rollback(self, command: Command) -> str:
        self._execute(commands.BatchRollback(self._ts(command, "ts"), _keys(command)))
        return "rolled back"

    def do_cleanup(self, command: Command) -> str:
        key = command.word(0).encode()
        result = self._execute(commands.Cleanup(key, self._ts(command, "ts"), self._ts(command, "now", "0")))
        return f"committed at {show_ts(result.commit_ts)}" if result.commit_ts else "rolled back"

    def do_status(self, command: Command) -> str:
        request = commands.CheckTxnStatus(
            command.word(0).encode(),
            self._ts(command, "ts"),
            self._ts(command, "caller", "0"),
            self._ts(command, "now", "0"),
            rollback_if_not_exist=command.flag("rollback"),
            force_sync_commit=command.flag("force_sync"),
            resolving_pessimistic_lock=command.flag("resolving"),
            verify_is_primary=command.flag("verify"),
        )
        status: TxnStatus = self._execute(request)
        fate = f"committed at {show_ts(status.commit_ts)}" if status.commit_ts else "rolled back"
        return f"{fate if status.lock is None else show_lock(status.lock)}, {status.action.name.lower()}"

    def do_resolve(self, command: Command) -> str:
        pairs = (pair.split(":") for pair in command.option("txns", "").split(",") if pair)
        infos = tuple((parse_ts(start), parse_ts(commit)) for start, commit in pairs)
        at = self._ts(command, "at", "0")
        self._execute(commands.ResolveLock(self._ts(command, "ts", "0"), at, _keys(command), infos))
        return "resolved"

    def do_heartbeat(self, command: Command) -> str:
        key = command.word(0).encode()
        result = self._execute(commands.TxnHeartBeat(key, self._ts(command, "ts"), command.number("ttl")))
        return f"ttl={result.ttl_ms}"

    def do_plock(self, command: Command) -> str:
        words = tuple(_mutation(word if ":" in word else f"put:{word}") for word in command.words)
        request = commands.PessimisticLock(
            words,
            primary=command.option("primary", words[0].key.decode()).encode(),
            start_ts=self._ts(command, "ts"),
            for_update_ts=self._ts(command, "for_update"),
            ttl_ms=command.number("ttl", 3000),
            return_values=command.flag("values"),
            check_existence=command.flag("existence"),
            lock_only_if_exists=command.flag("if_exists"),
        )
        found = self._execute(request).keys
        keys = zip(words, found, strict=True)
        if request.return_values:
            return "locked " + " ".join(f"{m.key.decode()}={show_optional(each.value)}" for m, each in keys)
        if request.check_existence or request.lock_only_if_exists:
            return "locked " + " ".join(f"{m.key.decode()}:{'yes' if each.exists else 'no'}" for m, each in keys)
        return "locked"

    def do_prollback(self, command: Command) -> str:
        for_update_ts = self._ts(command, "for_update")
        self._execute(commands.PessimisticRollback(self._ts(command, "ts"), for_update_ts, _keys(command)))
        return "released"

    def do_secondaries(self, command: Command) -> str:
        result = self._execute(commands.CheckSecondaryLocks(self._ts(command, "ts"), _keys(command)))
        if result.locks:
            return "\n".join(show_lock(lock) for lock in result.locks)
        return f"committed at {show_ts(result.commit_ts)}" if result.commit_ts else "rolled back"

    def _execute(self, request: TxnCommand[Any], max_ts: int = 0) -> Any:
        outcome = request.process(MvccReader(self.engine), max_ts)
        batch = self.engine.batch()
        for cf, key, value in outcome.modifies:
            if value is None:
                batch.delete(cf, key)
            else:
                batch.put(cf, key, value)
        self.engine.write(batch)
        return outcome.result

    # --- reads ---

    def do_get(self, command: Command) -> str:
        value = MvccReader(self.engine).get(
            command.word(0).encode(),
            self._ts(command, "ts"),
            bypass=_set(command, "bypass"),
            access=_set(command, "as"),
        )
        return show_optional(value)

    def do_scan(self, command: Command) -> str:
        start, end = command.option("from", "").encode(), command.option("to", "").encode()
        pairs = MvccReader(self.engine).scan(
            start,
            end,
            self._ts(command, "ts"),
            command.number("limit", 100),
            reverse=command.flag("reverse"),
            key_only=command.flag("keys"),
            bypass=_set(command, "bypass"),
            access=_set(command, "as"),
        )
        return "\n".join(f"{key.decode()} = {_show_answer(value)}" for key, value in pairs) or "nothing"

    def do_locks(self, command: Command) -> str:
        start, end = command.option("from", "").encode(), command.option("to", "").encode()
        most, limit = self._ts(command, "max", "max"), command.number("limit", 100)
        found = MvccReader(self.engine).scan_locks(start, end, most, limit)
        return "\n".join(show_lock(lock) for lock in found) or "nothing"

    def do_bulk(self, command: Command) -> str:
        """The analytical read: the first lock in its way, or the visible rows."""
        start, end = (storage_bound(command.option(name, "").encode()) for name in ("from", "to"))
        ts = self._ts(command, "ts")
        lock = first_lock(self.engine, start, end or None, ts)
        if lock is not None:
            return show_lock(lock)
        limit = command.number("limit", 0) or None
        rows = read_visible(self.engine, start, end or None, ts, limit)
        lines = [f"{k.decode()} = {show_value(v)}" for k, v in zip(rows.key_list(), rows.values, strict=True)]
        if rows.next_key is not None:
            lines.append(f"go on at {user_key(rows.next_key).decode()}")
        return "\n".join(lines) or "nothing"

    # --- what is stored ---

    def do_stored(self, command: Command) -> str:
        """Every engine key: family, raw key, and what it means."""
        return "\n".join(self._stored()) or "nothing"

    def _stored(self) -> Iterator[str]:
        for key, data in self.engine.scan(CF_LOCK, b"", None):
            yield f"lock    {key.hex()}  {user_key(key).decode()}: {show_stored_lock(Lock.from_bytes(data))}"
        for key, data in self.engine.scan(CF_WRITE, b"", None):
            yield self._versioned(CF_WRITE, key, show_write(Write.from_bytes(data)))
        for key, data in self.engine.scan(CF_DEFAULT, b"", None):
            yield self._versioned(CF_DEFAULT, key, show_value(data))

    def _versioned(self, cf: Cf, key: bytes, shown: str) -> str:
        storage, ts = split_versioned(key)
        return f"{cf:7} {key.hex()}  {user_key(storage).decode()}@{show_ts(ts)}: {shown}"

    def _ts(self, command: Command, name: str, default: str | None = None) -> int:
        return parse_ts(command.option(name, default))


def show_optional(value: bytes | None) -> str:
    return "none" if value is None else show_value(value)


def _show_answer(value: bytes | KeyIsLocked) -> str:
    return show_lock(value.lock) if isinstance(value, KeyIsLocked) else show_value(value)


def show_lock(lock: LockFacts) -> str:
    kind = Op(lock.lock_type).name
    parts = [f"{lock.key.decode()} locked by {show_ts(lock.start_ts)}: {kind} primary={lock.primary.decode()}"]
    parts += [f"ttl={lock.ttl_ms}"]
    parts += [f"min={show_ts(lock.min_commit_ts)}"] if lock.min_commit_ts else []
    parts += [f"async [{b','.join(lock.secondaries).decode()}]"] if lock.use_async_commit else []
    return " ".join(parts)


def show_stored_lock(lock: Lock) -> str:
    parts = [f"{lock.kind.name} start={show_ts(lock.start_ts)} primary={lock.primary.decode()} ttl={lock.ttl_ms}"]
    parts += [f"value={show_value(lock.short_value)}"] if lock.short_value is not None else []
    parts += [f"for_update={show_ts(lock.for_update_ts)}"] if lock.for_update_ts else []
    parts += [f"min={show_ts(lock.min_commit_ts)}"] if lock.min_commit_ts else []
    parts += [f"async [{b','.join(lock.secondaries).decode()}]"] if lock.use_async_commit else []
    parts += [f"rolled_back={','.join(map(show_ts, lock.rollback_ts))}"] if lock.rollback_ts else []
    return " ".join(parts)


def show_write(write: Write) -> str:
    parts = [f"{write.kind.name} start={show_ts(write.start_ts)}"]
    if write.is_protected:
        parts.append("protected")
    elif write.short_value is not None:
        parts.append(f"value={show_value(write.short_value)}")
    parts += ["overlapped_rollback"] if write.overlapped_rollback else []
    return " ".join(parts)


def _mutation(word: str) -> Mutation:
    op, key, *rest = word.split(":")
    flags = rest[1].split("+") if len(rest) > 1 else []
    return Mutation(
        OPS[op],
        key.encode(),
        read_value(rest[0]) if rest else b"",
        next((ASSERTIONS[flag] for flag in flags if flag in ASSERTIONS), Assertion.NONE),
        next((ACTIONS[flag] for flag in flags if flag in ACTIONS), PessimisticAction.SKIP),
    )


def _keys(command: Command) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in command.words)


def _set(command: Command, name: str) -> frozenset[int]:
    return frozenset(parse_ts(part) for part in command.option(name, "").split(",") if part)
