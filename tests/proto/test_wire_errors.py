"""Errors survive the wire: what goes in as an exception comes out as the same exception."""

import dataclasses

import pytest

from rutile_proto import errorpb_pb2 as errorpb
from rutile_proto import errors
from rutile_proto import kvrpcpb_pb2 as kvrpcpb
from rutile_proto import metapb_pb2 as metapb
from rutile_proto.errors import ConflictReason, LockFacts
from rutile_proto.wire_errors import (
    key_error_from_pb,
    key_error_to_pb,
    lock_from_pb,
    lock_to_pb,
    region_error_from_pb,
    region_error_to_pb,
)

PEER = metapb.Peer(id=7, store_id=3)
REGION = metapb.Region(id=5, start_key=b"a", region_epoch=metapb.RegionEpoch(conf_ver=1, version=2), peers=[PEER])
LOCK = LockFacts(b"k", b"p", 10, 3000, 5, 4, 11, 12, True, (b"x", b"y"))

REGION_ERRORS = [
    errors.NotLeader(5, PEER),
    errors.NotLeader(5, None),
    errors.RegionNotFound(5),
    errors.KeyNotInRegion(b"k", 5, b"a", b"b"),
    errors.EpochNotMatch(0, [REGION]),
    errors.EpochNotMatch(0, []),
    errors.StoreNotMatch(1, 2),
    errors.MismatchPeerId(1, 2),
    errors.StaleCommand("term 4 is over"),
    errors.ServerIsBusy("full", 100),
    errors.MaxTimestampNotSynced(),
    errors.ReadIndexNotReady(5, "no leader"),
    errors.DataIsNotReady(5, 7, 9),
    errors.RegionNotInitialized(5),
    errors.ProposalInMergingMode(5),
    errors.DiskFull([1, 2], "quota"),
    errors.RaftEntryTooLarge(5, 900),
    errors.UnknownRegionError("something newer"),
    errors.UndeterminedResult(0, "leader changed"),
]
KEY_ERRORS = [
    errors.KeyIsLocked(LOCK),
    errors.WriteConflict(1, 2, 3, b"k", b"p", ConflictReason.SELF_ROLLED_BACK),
    errors.AlreadyExist(b"k"),
    errors.Deadlock(1, b"k", 99, ((1, 2, b"a"), (2, 1, b"b"))),
    errors.CommitTsExpired(1, 2, b"k", 3),
    errors.CommitTsTooLarge(9),
    errors.TxnNotFound(1, b"p"),
    errors.TxnLockNotFound(0, 0, b"k"),
    errors.AssertionFailed(1, b"k", 2, 3, 4),
    errors.PrimaryMismatch(LOCK),
    errors.TxnAborted("no such thing"),
    errors.TxnRetryable("a lock was lost"),
]


def as_fields(error):
    fields = dataclasses.fields(error) if dataclasses.is_dataclass(error) else ()
    return type(error), {field.name: getattr(error, field.name) for field in fields}


@pytest.mark.parametrize("error", REGION_ERRORS, ids=lambda error: type(error).__name__)
def test_region_errors_round_trip(error):
    wire = errorpb.Error.FromString(region_error_to_pb(error).SerializeToString())
    assert as_fields(region_error_from_pb(wire)) == as_fields(error)
    assert wire.message


@pytest.mark.parametrize("error", KEY_ERRORS, ids=lambda error: type(error).__name__)
def test_key_errors_round_trip(error):
    wire = kvrpcpb.KeyError.FromString(key_error_to_pb(error).SerializeToString())
    assert as_fields(key_error_from_pb(wire)) == as_fields(error)


def test_every_error_class_of_the_tree_is_covered():
    def leaves(kind):
        below = [child for child in kind.__subclasses__() if child.__module__.startswith(errors.__name__)]
        return [leaf for child in below for leaf in leaves(child)] if below else [kind]

    covered = {type(error) for error in REGION_ERRORS + KEY_ERRORS} | {errors.LockWaitTimeout, errors.RegionDamaged}
    assert set(leaves(errors.RegionError)) | set(leaves(errors.TxnError)) <= covered


def test_a_damaged_region_travels_as_text():
    damaged = errors.RegionDamaged(5, "the hashes differ at index 9")
    assert as_fields(region_error_from_pb(region_error_to_pb(damaged))) == as_fields(
        errors.UnknownRegionError(str(damaged))
    )


def test_a_lock_wait_timeout_shows_the_lock():
    assert as_fields(key_error_from_pb(key_error_to_pb(errors.LockWaitTimeout(LOCK)))) == as_fields(
        errors.KeyIsLocked(LOCK)
    )


def test_locks_round_trip():
    assert lock_from_pb(lock_to_pb(LOCK)) == LOCK


def test_what_an_empty_or_newer_message_means():
    assert isinstance(region_error_from_pb(errorpb.Error()), errors.UnknownRegionError)
    assert isinstance(key_error_from_pb(kvrpcpb.KeyError()), errors.TxnAborted)
    assert str(key_error_from_pb(kvrpcpb.KeyError(retryable="again"))) == "again"


def test_conflicts_also_carry_retryable_text_for_older_clients():
    assert key_error_to_pb(errors.WriteConflict(1, 2, 3, b"k")).retryable
    assert key_error_to_pb(errors.TxnLockNotFound(1, 2, b"k")).retryable
