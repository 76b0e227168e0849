"""Errors on the wire: errorpb.Error and kvrpcpb.KeyError to exceptions and back.

Each exception class has one row below: the protobuf field that stands for it, and which of its attributes travel under
which name. An attribute the protocol has no room for comes back as the row's default. Messages whose field this version
does not know become UnknownRegionError or TxnAborted with their text, as older clients treat them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from rutile_proto import deadlock_pb2 as deadlock
from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import errors
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto.errors import ConflictReason, LockFacts, RegionError, TxnError, UndeterminedResult


@dataclass(frozen=True, slots=True)
class _Form:
    """How one exception class looks on the wire."""

    kind: type[Exception]
    wire_name: str
    names: Mapping[str, str] = field(default_factory=dict)
    """Attribute of the exception to field of the sub-message."""
    absent: Mapping[str, Any] = field(default_factory=dict)
    """Attributes that do not travel, and what they come back as."""


def _same(*names: str, **renamed: str) -> dict[str, str]:
    return {**{name: name for name in names}, **renamed}


_REGION_FORMS = (
    _Form(errors.NotLeader, "not_leader", _same("region_id", "leader")),
    _Form(errors.RegionNotFound, "region_not_found", _same("region_id")),
    _Form(errors.KeyNotInRegion, "key_not_in_region", _same("key", "region_id", "start_key", "end_key")),
    _Form(errors.EpochNotMatch, "epoch_not_match", _same("current_regions"), {"region_id": 0}),
    _Form(errors.ServerIsBusy, "server_is_busy", _same("reason", "backoff_ms")),
    _Form(errors.StaleCommand, "stale_command"),
    _Form(errors.StoreNotMatch, "store_not_match", _same("request_store_id", "actual_store_id")),
    _Form(errors.RaftEntryTooLarge, "raft_entry_too_large", _same("region_id", entry_size_bytes="entry_size")),
    _Form(errors.MaxTimestampNotSynced, "max_timestamp_not_synced"),
    _Form(errors.ReadIndexNotReady, "read_index_not_ready", _same("region_id", "reason")),
    _Form(errors.ProposalInMergingMode, "proposal_in_merging_mode", _same("region_id")),
    _Form(errors.DataIsNotReady, "data_is_not_ready", _same("region_id", "peer_id", "safe_ts")),
    _Form(errors.RegionNotInitialized, "region_not_initialized", _same("region_id")),
    _Form(errors.DiskFull, "disk_full", _same("reason", store_ids="store_id")),
    _Form(errors.MismatchPeerId, "mismatch_peer_id", _same("request_peer_id", "store_peer_id")),
    _Form(UndeterminedResult, "undetermined_result", _same(cause="message"), {"start_ts": 0}),
)
_KEY_FORMS = (
    _Form(errors.KeyIsLocked, "locked"),
    _Form(
        errors.WriteConflict,
        "conflict",
        _same("start_ts", "conflict_commit_ts", "key", "primary", "reason", conflict_start_ts="conflict_ts"),
    ),
    _Form(errors.AlreadyExist, "already_exist", _same("key")),
    _Form(errors.Deadlock, "deadlock", _same("lock_ts", "lock_key", "deadlock_key_hash", "wait_chain")),
    _Form(
        errors.CommitTsExpired, "commit_ts_expired", _same("start_ts", "attempted_commit_ts", "key", "min_commit_ts")
    ),
    _Form(errors.TxnNotFound, "txn_not_found", _same("start_ts", "primary_key")),
    _Form(errors.CommitTsTooLarge, "commit_ts_too_large", _same("commit_ts")),
    _Form(
        errors.AssertionFailed,
        "assertion_failed",
        _same("start_ts", "key", "assertion", "existing_start_ts", "existing_commit_ts"),
    ),
    _Form(errors.PrimaryMismatch, "primary_mismatch", _same(lock="lock_info")),
    _Form(errors.TxnLockNotFound, "txn_lock_not_found", _same("key"), {"start_ts": 0, "commit_ts": 0}),
)
_REGION_BY_KIND = {form.kind: form for form in _REGION_FORMS}
_KEY_BY_KIND = {form.kind: form for form in _KEY_FORMS}
_WITH_RETRYABLE_TEXT = (errors.WriteConflict, errors.TxnLockNotFound)
"""TiKV sets KeyError.retryable beside these."""


# --- region errors ----------------------------------------------------------------------------------------------------


def region_error_to_pb(error: RegionError | UndeterminedResult) -> errorpb.Error:
    """The message for a region error; one without a form of its own travels as text."""
    message = errorpb.Error(message=error.detail if isinstance(error, errors.StaleCommand) else str(error))
    form = _REGION_BY_KIND.get(type(error))
    if form is not None:
        _fill(getattr(message, form.wire_name), form, error)
    return message


def region_error_from_pb(message: errorpb.Error) -> RegionError | UndeterminedResult:
    """The exception for a region error (UndeterminedResult when the write may have been applied).

    `EpochNotMatch.region_id` does not travel and comes back as 0, `UndeterminedResult.start_ts` likewise.
    """
    form = next((form for form in _REGION_FORMS if message.HasField(form.wire_name)), None)
    if form is None:
        return errors.UnknownRegionError(message.message)
    if form.kind is errors.StaleCommand:
        return errors.StaleCommand(message.message) if message.message else errors.StaleCommand()
    error: RegionError | UndeterminedResult = _build(form, getattr(message, form.wire_name))
    return error


# --- key errors -------------------------------------------------------------------------------------------------------


def key_error_to_pb(error: TxnError) -> kvrpcpb.KeyError:
    """The message for a transaction error. LockWaitTimeout travels as `locked`, TxnAborted as `abort`,
    TxnRetryable as `retryable`."""
    if isinstance(error, errors.KeyIsLocked | errors.LockWaitTimeout):
        return kvrpcpb.KeyError(locked=lock_to_pb(error.lock))
    form = _KEY_BY_KIND.get(type(error))
    if isinstance(error, errors.TxnRetryable):
        return kvrpcpb.KeyError(retryable=str(error))
    if form is None:
        return kvrpcpb.KeyError(abort=str(error))
    message = kvrpcpb.KeyError(retryable=str(error) if isinstance(error, _WITH_RETRYABLE_TEXT) else "")
    _fill(getattr(message, form.wire_name), form, error)
    return message


def key_error_from_pb(message: kvrpcpb.KeyError) -> TxnError:
    """The exception for a transaction error; a bare text, or a field this version does not know, is TxnAborted."""
    if message.HasField("locked"):
        return errors.KeyIsLocked(lock_from_pb(message.locked))
    form = next((form for form in _KEY_FORMS if message.HasField(form.wire_name)), None)
    if form is None:
        if message.retryable and not message.abort:
            return errors.TxnRetryable(message.retryable)
        return errors.TxnAborted(message.abort or "the store gave no reason")
    error: TxnError = _build(form, getattr(message, form.wire_name))
    return error


def lock_to_pb(lock: LockFacts) -> kvrpcpb.LockInfo:
    """kvrpcpb.LockInfo of a lock."""
    return kvrpcpb.LockInfo(
        key=lock.key,
        primary_lock=lock.primary,
        lock_version=lock.start_ts,
        lock_ttl=lock.ttl_ms,
        lock_type=cast(kvrpcpb.Op, lock.lock_type),
        txn_size=lock.txn_size,
        lock_for_update_ts=lock.for_update_ts,
        min_commit_ts=lock.min_commit_ts,
        use_async_commit=lock.use_async_commit,
        secondaries=lock.secondaries,
    )


def lock_from_pb(message: kvrpcpb.LockInfo) -> LockFacts:
    """The lock in a kvrpcpb.LockInfo."""
    return LockFacts(
        key=message.key,
        primary=message.primary_lock,
        start_ts=message.lock_version,
        ttl_ms=message.lock_ttl,
        lock_type=message.lock_type,
        txn_size=message.txn_size,
        for_update_ts=message.lock_for_update_ts,
        min_commit_ts=message.min_commit_ts,
        use_async_commit=message.use_async_commit,
        secondaries=tuple(message.secondaries),
    )


# --- one row of the tables --------------------------------------------------------------------------------------------


def _fill(message: Any, form: _Form, error: Exception) -> None:
    """Copy the travelling attributes into the sub-message, which is set even when it has no fields."""
    message.SetInParent()
    for attribute, name in form.names.items():
        value = getattr(error, attribute)
        if attribute == "wait_chain":
            message.wait_chain.extend(_wait_entry(*link) for link in value)
        elif isinstance(value, LockFacts):
            getattr(message, name).CopyFrom(lock_to_pb(value))
        elif isinstance(value, list):
            getattr(message, name).extend(value)
        elif hasattr(value, "DESCRIPTOR"):
            getattr(message, name).CopyFrom(value)
        elif value is not None:
            setattr(message, name, value.value if isinstance(value, ConflictReason) else value)


def _wait_entry(waiter: int, holder: int, key: bytes) -> deadlock.WaitForEntry:
    return deadlock.WaitForEntry(txn=waiter, wait_for_txn=holder, key=key)


def _build(form: _Form, message: Any) -> Any:
    """The exception of a row from its sub-message."""
    travelled = {attribute: _read(message, attribute, name) for attribute, name in form.names.items()}
    return form.kind(**travelled, **form.absent)


def _read(message: Any, attribute: str, name: str) -> Any:
    value = getattr(message, name)
    if attribute == "wait_chain":
        return tuple((entry.txn, entry.wait_for_txn, entry.key) for entry in value)
    if attribute == "lock":
        return lock_from_pb(value)
    if attribute == "reason" and isinstance(message, kvrpcpb.WriteConflict):
        return _conflict_reason(value)
    if attribute == "leader":
        return value if message.HasField(name) else None
    return list(value) if attribute in ("current_regions", "store_ids") else value


def _conflict_reason(number: int) -> ConflictReason:
    """A newer store may know reasons this version does not."""
    known = {reason.value for reason in ConflictReason}
    return ConflictReason(number) if number in known else ConflictReason.UNKNOWN
