"""What a batch that a placement driver writes is, by what is in it: the names of the places where it writes.

    place          what the batch holds
    found, join    a new member's identity and the beginning of its log
    confirm        the others have said that this founder is new
    append         log entries
    hard_state     a term, a vote, or what is committed
    apply          what a committed entry makes, with the applied index; beside it what that is:
      cluster, bootstrapped, members, took_part, tso, ids, safe_point, service, store, region, setting
    cut_log        the log is cut
    snapshot       another member's whole state, and a log that begins behind it

Tests kill placement drivers at each (`rutile_kv.engine.failing`); nothing else asks.
"""

from collections.abc import Iterator, Sequence

from rutile_kv.engine.api import CF_RAFT, Reader
from rutile_kv.engine.failing import Operation
from rutile_pd.consensus.storage import STATE_START


def write_places(before: Reader, operations: Sequence[Operation]) -> list[str]:
    """The places a batch is at, each once."""
    raft = {_name(key) for cf, key, value, _ in operations if cf == CF_RAFT and value is not None}
    state = {_name(key.removeprefix(STATE_START)) for cf, key, _, end in operations if cf != CF_RAFT and end is None}
    if "member" in raft:
        return ["found" if "compacted" in raft else "join"]
    if "compacted" in raft:
        return ["snapshot" if "applied" in raft else "cut_log"]
    return [*_of_rounds(raft), *sorted(state)] or ["confirm"]


def _of_rounds(raft: set[str]) -> Iterator[str]:
    """What log and applied entries are."""
    if "log" in raft:
        yield "append"
    if "hard" in raft:
        yield "hard_state"
    if "applied" in raft:
        yield "apply"


def _name(key: bytes) -> str:
    """The part of a key before the first number or name."""
    return key.split(b"/")[0].decode()
