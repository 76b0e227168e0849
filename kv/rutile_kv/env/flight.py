"""Arrow Flight, kept behind a few parts that the stores' data endpoint and the SQL front end's server share.

pyarrow's server has threads of its own and calls its methods there. Our work lives on an event loop, so a method hands
a coroutine over and waits for it, looking now and then whether the caller has gone (`LoopCalls`). Who calls is settled
before any method runs (`CallerFactory`): by password once, by a signed token from then on, which every node can check.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import concurrent.futures
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import AsyncGeneratorType
from typing import NoReturn, TypeVar

import pyarrow as pa
from pyarrow import flight

from rutile_kv.env.clock import Clock
from rutile_kv.env.flight_cancel import Cancelled, ScanRun
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.errors import InvalidRequest, PortInUse
from rutile_proto.signing import Purpose, SignatureRefused, Signer

T = TypeVar("T")

CALLER = "rutile-caller"
"""The middleware's name."""
TOKEN_LIFE_MS = 12 * 3600 * 1000
LOOK_EVERY_S = 0.1
"""How often a waiting call looks whether its client is still there."""


@dataclass(frozen=True, slots=True)
class FlightOptions:
    """How to listen. With a certificate (PEM files, both or none) it is TLS."""

    address: str
    secret: bytes = field(repr=False)
    """Signs tokens and tickets; the same on every node of the cluster."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @property
    def scheme(self) -> str:
        return "grpc+tls" if self.tls_certificate else "grpc"

    def certificates(self) -> list[tuple[bytes, bytes]] | None:
        """The certificate chain and its key. InvalidRequest when they cannot be read."""
        if self.tls_certificate is None or self.tls_key is None:
            return None
        try:
            return [(self.tls_certificate.read_bytes(), self.tls_key.read_bytes())]
        except OSError as error:
            raise InvalidRequest(f"{error.filename}: {error.strerror}; TLS needs a certificate and its key") from error


class NoHandshake(flight.ServerAuthHandler):  # type: ignore[misc]
    """Lets Flight's handshake pass: whoever calls is checked by `CallerFactory`, in the handshake too."""

    def authenticate(self, outgoing: object, incoming: object) -> None:
        """Nothing is said here: the token goes back in the headers."""

    def is_valid(self, token: bytes) -> bytes:
        return b""


class Caller(flight.ServerMiddleware):  # type: ignore[misc]
    """Who makes a call, and what its headers ask for."""

    def __init__(self, user: str | None, database: str | None, answer: str | None) -> None:
        self.user = user
        """None: a call without a token, where that is allowed."""
        self.database = database
        """The header `database`."""
        self._answer = answer

    def sending_headers(self) -> dict[str, str]:
        return {"authorization": self._answer} if self._answer else {}


def bearer_token(signer: Signer, user: str, expires_ms: int) -> str:
    """What a user shows instead of a password, to any node."""
    body = ticketpb.UserToken(user=user).SerializeToString()
    return base64.urlsafe_b64encode(signer.sign(Purpose.TOKEN, body, expires_ms)).decode()


class CallerFactory(flight.ServerMiddlewareFactory):  # type: ignore[misc]
    """Admits calls: with a token, with a password where `check_password` is given, without either while `open_door`.

    Everybody else gets FlightUnauthenticatedError.
    """

    def __init__(
        self,
        signer: Signer,
        clock: Clock,
        check_password: Callable[[str, str], bool] | None,
        open_door: Callable[[], bool] = lambda: True,
    ) -> None:
        self._signer = signer
        self._clock = clock
        self._check_password = check_password
        self._open_door = open_door

    def start_call(self, info: object, headers: Mapping[str, list[str]]) -> Caller:
        database = next(iter(headers.get("database", [])), None)
        kind, _, value = next(iter(headers.get("authorization", [])), "").partition(" ")
        if kind.lower() == "basic":
            user = self._by_password(value)
            return Caller(user, database, f"Bearer {self._token(user)}")
        if kind.lower() == "bearer":
            return Caller(self._by_token(value), database, None)
        if not self._open_door():
            raise flight.FlightUnauthenticatedError("no user: connect with a user name and a password")
        return Caller(None, database, None)

    def _by_password(self, value: str) -> str:
        if self._check_password is None:
            raise flight.FlightUnauthenticatedError("passwords are for the SQL server; bring the token it gives")
        try:
            padded = value + "=" * (-len(value) % 4)  # Go's clients leave the padding out
            user, _, password = base64.b64decode(padded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise flight.FlightUnauthenticatedError("the authorization header is not valid Basic") from None
        if not self._check_password(user, password):
            raise flight.FlightUnauthenticatedError(f"Access denied for user '{user}'")
        return user

    def _token(self, user: str) -> str:
        return bearer_token(self._signer, user, self._clock.wall_ms() + TOKEN_LIFE_MS)

    def _by_token(self, value: str) -> str:
        try:
            body = self._signer.open(Purpose.TOKEN, base64.urlsafe_b64decode(value), self._clock.wall_ms())
        except (SignatureRefused, binascii.Error) as error:
            raise flight.FlightUnauthenticatedError(f"the token is refused: {error}; connect again") from None
        user: str = ticketpb.UserToken.FromString(body).user
        return user


class FlightServer(flight.FlightServerBase):  # type: ignore[misc]
    """Listens from the moment it is made; every method a subclass does not have is refused in words."""

    def __init__(self, options: FlightOptions, callers: CallerFactory) -> None:
        """Raises PortInUse if it cannot listen there, InvalidRequest for a certificate that cannot be read."""
        certificates = options.certificates()
        try:
            super().__init__(
                f"{options.scheme}://{options.address}",
                auth_handler=NoHandshake(),
                tls_certificates=certificates,
                middleware={CALLER: callers},
            )
        except (pa.ArrowException, OSError) as error:
            raise PortInUse(f"cannot listen on {options.address}: {error}; is another process using it?") from error
        self.address = f"{options.address.rpartition(':')[0]}:{self.port}"

    def _refuse(self, method: str) -> NoReturn:
        raise flight.FlightServerError(f"{method} is not served here")

    def get_flight_info(self, context: object, descriptor: object) -> object:
        self._refuse("GetFlightInfo")

    def get_schema(self, context: object, descriptor: object) -> object:
        self._refuse("GetSchema")

    def list_flights(self, context: object, criteria: object) -> object:
        self._refuse("ListFlights")

    def do_put(self, context: object, descriptor: object, reader: object, writer: object) -> None:
        self._refuse("DoPut")

    def do_exchange(self, context: object, descriptor: object, reader: object, writer: object) -> None:
        self._refuse("DoExchange")

    def do_action(self, context: object, action: object) -> object:
        self._refuse("DoAction")

    def list_actions(self, context: object) -> object:
        return []


class LoopCalls:
    """Runs coroutines of `loop` for threads that are not its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def run(
        self,
        context: flight.ServerCallContext,
        work: Coroutine[object, object, T],
        cancel: Callable[[], object] | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> T:
        """What `work` returns. When the client goes, or `is_cancelled`, `cancel` is called on the loop (default: the
        work is cancelled) and the outcome waited for.

        Raises what the work raises; CancelledError of concurrent.futures when it was cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        stop: Callable[[], object] = cancel or future.cancel
        stopped = False
        while not concurrent.futures.wait([future], LOOK_EVERY_S).done:
            if not stopped and (context.is_cancelled() or is_cancelled()):
                self.loop.call_soon_threadsafe(stop)
                stopped = True
        return future.result()

    def drain(
        self, context: flight.ServerCallContext, parts: AsyncGenerator[list[pa.RecordBatch], None], run: ScanRun
    ) -> Iterator[pa.RecordBatch]:
        """The batches of `parts`, each part fetched when the one before has been taken; `parts` is closed in the end,
        also when nobody takes the rest, and at once when `run` is cancelled while a batch waits for its client.

        Raises Cancelled, and what reading raises.
        """
        run.release = lambda: self.loop.call_soon_threadsafe(_close_idle, parts)
        try:
            while (part := self._next(context, parts, run)) is not None:
                for batch in part:
                    if run.is_cancelled:
                        raise Cancelled
                    yield batch
        finally:
            if not self.loop.is_closed():
                asyncio.run_coroutine_threadsafe(parts.aclose(), self.loop).result()

    def _next(
        self, context: flight.ServerCallContext, parts: AsyncGenerator[list[pa.RecordBatch], None], run: ScanRun
    ) -> list[pa.RecordBatch] | None:
        try:
            part = self.run(context, _next(parts), is_cancelled=lambda: run.is_cancelled)
        except concurrent.futures.CancelledError:
            if run.is_cancelled:
                raise Cancelled from None
            raise
        if run.is_cancelled:
            raise Cancelled
        return part


_closing: set[asyncio.Task[None]] = set()
"""Tasks under way; the loop itself would forget them."""


def _close_idle(parts: AsyncGenerator[list[pa.RecordBatch], None]) -> None:
    """Close what is not being read just now; what is, is cancelled by its reader."""
    if isinstance(parts, AsyncGeneratorType) and not parts.ag_running:
        task = asyncio.ensure_future(parts.aclose())
        _closing.add(task)
        task.add_done_callback(_closing.discard)


async def _next(parts: AsyncGenerator[T, None]) -> T | None:
    return await anext(parts, None)
