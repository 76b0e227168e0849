"""Cancelling a query by its FlightInfo: wherever its parts are being read, that ends.

    client ── CancelFlightInfo(info) ──► SQL node ── the same, for the tickets it gave out ──► stores
                                            each node ends the scans of those queries (`RunningScans`)

A ticket says which query it is of, and is signed: whoever may read by it may cancel by it. A node that was told goes on
refusing the query's tickets.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
from google.protobuf.message import DecodeError
from pyarrow import flight

from rutile_proto import flightsqlpb_pb2 as flightsqlpb
from rutile_proto.errors import InvalidRequest

CANCEL_ACTION = "CancelFlightInfo"
MAX_REMEMBERED = 10_000
"""Cancelled queries a node knows of."""
TELL_TIMEOUT_S = 5.0
"""For telling another node."""


class Cancelled(flight.FlightServerError):  # type: ignore[misc]
    """Somebody has cancelled the query whose rows are asked for.

    Not gRPC's CANCELLED: pyarrow's client takes that, in the midst of a stream, for a ^C of its user.
    """

    def __init__(self) -> None:
        super().__init__("ERROR 1317 (70100): the query was cancelled; run it again")


@dataclass(eq=False, slots=True)
class ScanRun:
    """A scan that is being sent, or was cancelled meanwhile."""

    is_cancelled: bool = False
    release: Callable[[], object] = lambda: None
    """Gives up what it holds; called once when it is cancelled, on any thread."""


class RunningScans:
    """The scans of a node by their query, so that a query can be cancelled wherever its parts are read. Thread-safe.

    Cancelled queries are remembered (the last MAX_REMEMBERED): their tickets are refused here from then on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[bytes, list[ScanRun]] = {}
        self._cancelled: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._running.values()))

    @contextmanager
    def run(self, query_id: bytes) -> Iterator[ScanRun]:
        """A scan, while the block lasts. Raises Cancelled for a query that was."""
        run = ScanRun()
        with self._lock:
            if query_id in self._cancelled:
                raise Cancelled
            self._running.setdefault(query_id, []).append(run)
        try:
            yield run
        finally:
            with self._lock:
                self._running[query_id].remove(run)
                if not self._running[query_id]:
                    del self._running[query_id]

    def cancel(self, query_id: bytes) -> int:
        """End the query's scans here, now and later; how many were running."""
        with self._lock:
            self._cancelled[query_id] = None
            while len(self._cancelled) > MAX_REMEMBERED:
                self._cancelled.popitem(last=False)
            runs = list(self._running.get(query_id, ()))
            for run in runs:
                run.is_cancelled = True
        for run in runs:
            run.release()
        return len(runs)


def tell_cancelled(location: str, endpoints: Sequence[flight.FlightEndpoint], token: str, roots: bytes | None) -> None:
    """Have a node end the scans of these tickets. Blocks; raises FlightError, ArrowException.

    `roots`: PEM certificates that its own is checked against, with TLS.
    """
    info = flight.FlightInfo(pa.schema([]), flight.FlightDescriptor.for_command(b""), list(endpoints), -1, -1)
    body = flightsqlpb.CancelFlightInfoRequest(info=info.serialize()).SerializeToString()
    headers = [(b"authorization", f"Bearer {token}".encode())]
    options = flight.FlightCallOptions(timeout=TELL_TIMEOUT_S, headers=headers)
    with flight.connect(location, tls_root_certs=roots) as client:
        list(client.do_action(flight.Action(CANCEL_ACTION, body), options))


def cancelled_endpoints(body: bytes) -> list[flight.FlightEndpoint]:
    """The endpoints of a CancelFlightInfoRequest. InvalidRequest if it is none."""
    try:
        info = flightsqlpb.CancelFlightInfoRequest.FromString(body).info
    except DecodeError as error:
        raise InvalidRequest("not a CancelFlightInfoRequest") from error
    return endpoints_of(info)


def endpoints_of(info: bytes) -> list[flight.FlightEndpoint]:
    """The endpoints of a FlightInfo message. InvalidRequest if it is none."""
    try:
        return list(flight.FlightInfo.deserialize(info).endpoints)
    except (pa.ArrowException, OSError) as error:
        raise InvalidRequest("not a FlightInfo") from error
