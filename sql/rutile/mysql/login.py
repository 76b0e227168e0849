"""Lets a client in: greeting, TLS if it is wanted, the proof of the password; the same again for COM_CHANGE_USER."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from rutile.mysql import auth, handshake
from rutile.mysql.handshake import ClientHello
from rutile.mysql.link import Link
from rutile.mysql.problems import bad_handshake, over, tls_required
from rutile.privileges.logins import Logins, access_denied, account_locked
from rutile.privileges.model import Identity, User
from rutile.privileges.passwords import CACHING_SHA2
from rutile.session.variables import SERVER_VERSION


@dataclass(frozen=True, slots=True)
class Admission:
    """Who came in, and what it said of itself."""

    hello: ClientHello
    identity: Identity


@dataclass(frozen=True, slots=True)
class Security:
    """What the server asks of connections."""

    tls: ssl.SSLContext | None = None
    requires_tls: bool = False
    """Refuse those without it (require_secure_transport)."""


class Doorkeeper:
    """Authenticates the client at the other end of a link."""

    def __init__(self, link: Link, logins: Logins, security: Security, timeout_s: float) -> None:
        self._link = link
        self._logins = logins
        self._security = security
        self._timeout_s = timeout_s
        self._nonce = b""

    async def admit(self, thread_id: int) -> Admission:
        """Greet the client and check who it is. Raises 1043, 1045, 3118, 3159: the connection is over then."""
        self._nonce = auth.new_nonce()
        with_tls = self._security.tls is not None
        await self._say(handshake.greeting(SERVER_VERSION, thread_id, self._nonce, with_tls=with_tls))
        first = await self._link.read(self._timeout_s)
        if handshake.is_ssl_request(first):
            first = await self._in_tls()
        elif self._security.requires_tls:
            raise tls_required()
        return await self._identified(handshake.read_hello(first))

    async def change_user(self, hello: ClientHello) -> Admission:
        """The same for a client that wants to be somebody else; its proof is of the nonce it was greeted with."""
        return await self._identified(hello)

    async def _in_tls(self) -> bytes:
        if self._security.tls is None:
            raise bad_handshake("TLS is not supported by this server and was not offered")
        await self._link.start_tls(self._security.tls, self._timeout_s)
        return await self._link.read(self._timeout_s)

    async def _identified(self, hello: ClientHello) -> Admission:
        host = self._link.peer_host
        user = await self._logins.account_or_nobody(hello.user, host)
        method, proof = await self._proof(hello, user)
        if self._logins.is_nobody(user) or not auth.accepts(user.passwords, method, proof, self._nonce):
            raise over(access_denied(hello.user, host, with_password=not auth.is_empty_password(proof)))
        self._check_account(user, hello.user)
        if method == CACHING_SHA2 and not auth.is_empty_password(proof):
            self._link.send(handshake.auth_more_data(auth.FAST_AUTH_SUCCEEDED))
        return Admission(hello, Identity(hello.user, host, user.key))

    async def _proof(self, hello: ClientHello, user: User) -> tuple[str, bytes]:
        """The method and proof; asked for again where the client's method is none of the account's."""
        usable = auth.usable_methods(user.passwords)
        if hello.method in usable:
            return hello.method, hello.proof
        self._nonce = auth.new_nonce()
        await self._say(handshake.auth_switch(usable[0], self._nonce))
        return usable[0], await self._link.read(self._timeout_s)

    def _check_account(self, user: User, name: str) -> None:
        if user.is_locked:
            raise over(account_locked(name, self._link.peer_host))
        if user.requires_tls and not self._link.is_encrypted:
            raise over(access_denied(name, self._link.peer_host, with_password=not user.passwords.is_empty))

    async def _say(self, payload: bytes) -> None:
        self._link.send(payload)
        await self._link.flush()
