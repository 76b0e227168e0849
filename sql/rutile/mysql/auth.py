"""Passwords: who may come in, and how a client proves that it may without sending the password.

Both methods hash the password twice and keep only the second hash `stored = H(H(password))`. The client sends

    proof = H(password) XOR H(nonce and stored)         mysql_native_password: H is SHA-1, nonce first
                                                        caching_sha2_password: H is SHA-256, stored first

so the server, which can compute the second half, gets H(password) out of it and checks that its hash is `stored`.
What is stored is enough to check a proof, not to make one. caching_sha2_password's slow path sends the password itself
(over TLS or RSA) to a server that keeps only a salted hash; we keep `stored` for both methods and never need it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from rutile.mysql.constants import NONCE_BYTES

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
FAST_AUTH_SUCCEEDED = b"\x03"
"""What caching_sha2_password says, in an AuthMoreData packet, before OK."""

_FORBIDDEN_IN_NONCE = (0, ord("$"))
"""Clients read the nonce as a C string, and `$` parts MySQL's stored hashes."""


def new_nonce() -> bytes:
    """Twenty random bytes for one connection."""
    nonce = bytearray()
    while len(nonce) < NONCE_BYTES:
        nonce += bytes(byte for byte in secrets.token_bytes(NONCE_BYTES) if byte not in _FORBIDDEN_IN_NONCE)
    return bytes(nonce[:NONCE_BYTES])


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def native_proof(password: str, nonce: bytes) -> bytes:
    """What a client sends under mysql_native_password; empty for an empty password."""
    if not password:
        return b""
    once = _sha1(password.encode())
    return _xor(once, _sha1(nonce + _sha1(once)))


def caching_sha2_proof(password: str, nonce: bytes) -> bytes:
    """What a client sends under caching_sha2_password; empty for an empty password."""
    if not password:
        return b""
    once = _sha256(password.encode())
    return _xor(once, _sha256(_sha256(once) + nonce))


def _verified(proof: bytes, mask: bytes, digest: Callable[[bytes], bytes], stored: bytes) -> bool:
    return len(proof) == len(mask) and hmac.compare_digest(digest(_xor(proof, mask)), stored)


@dataclass(frozen=True, slots=True)
class Account:
    """What is kept of one user's password: both second hashes, or None for the empty password."""

    native: bytes | None
    caching_sha2: bytes | None

    @classmethod
    def with_password(cls, password: str) -> Account:
        """An account for this password, which is not kept."""
        if not password:
            return cls(None, None)
        secret = password.encode()
        return cls(_sha1(_sha1(secret)), _sha256(_sha256(secret)))

    def accepts(self, method: str, proof: bytes, nonce: bytes) -> bool:
        """Whether `proof` was made from the password and this nonce. Unknown methods never are."""
        if self.native is None or self.caching_sha2 is None:
            return is_empty_password(proof)
        if method == NATIVE:
            return _verified(proof, _sha1(nonce + self.native), _sha1, self.native)
        if method == CACHING_SHA2:
            return _verified(proof, _sha256(self.caching_sha2 + nonce), _sha256, self.caching_sha2)
        return False


def is_empty_password(proof: bytes) -> bool:
    """Whether the client has no password: some send nothing then, some one zero byte."""
    return proof in (b"", b"\0")


class Accounts:
    """The users of a server: for now one, `root`."""

    def __init__(self, password: str = "") -> None:
        self._accounts = {"root": Account.with_password(password)}
        self._nobody = Account.with_password(secrets.token_hex(16))

    def accepts(self, user: str, method: str, proof: bytes, nonce: bytes) -> bool:
        """Whether this user may come in. An unknown one costs the same work as a wrong password."""
        return self._accounts.get(user, self._nobody).accepts(method, proof, nonce)
