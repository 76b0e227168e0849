"""Passwords: who may come in, and how a client proves that it may without sending the password.

Both methods hash the password twice and keep only the second hash `stored = H(H(password))`. The client sends

    proof = H(password) XOR H(nonce and stored)         mysql_native_password: H is SHA-1, nonce first
                                                        caching_sha2_password: H is SHA-256, stored first

so the server, which can compute the second half, gets H(password) out of it and checks that its hash is `stored`.
What is stored is enough to check a proof, not to make one. caching_sha2_password's slow path sends the password itself
(over TLS or RSA) to a server that keeps only a salted hash; we keep `stored` for both methods and never need it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable

from rutile.mysql.constants import NONCE_BYTES
from rutile.privileges.passwords import CACHING_SHA2, NATIVE, Passwords, sha1, sha256

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


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def native_proof(password: str, nonce: bytes) -> bytes:
    """What a client sends under mysql_native_password; empty for an empty password."""
    if not password:
        return b""
    once = sha1(password.encode())
    return _xor(once, sha1(nonce + sha1(once)))


def caching_sha2_proof(password: str, nonce: bytes) -> bytes:
    """What a client sends under caching_sha2_password; empty for an empty password."""
    if not password:
        return b""
    once = sha256(password.encode())
    return _xor(once, sha256(sha256(once) + nonce))


def _verified(proof: bytes, mask: bytes, digest: Callable[[bytes], bytes], stored: bytes) -> bool:
    return len(proof) == len(mask) and hmac.compare_digest(digest(_xor(proof, mask)), stored)


def accepts(passwords: Passwords, method: str, proof: bytes, nonce: bytes) -> bool:
    """Whether `proof` was made from the password and this nonce. Unknown methods never are."""
    if passwords.is_empty:
        return is_empty_password(proof)
    if method == NATIVE and passwords.native is not None:
        return _verified(proof, sha1(nonce + passwords.native), sha1, passwords.native)
    if method == CACHING_SHA2 and passwords.caching_sha2 is not None:
        return _verified(proof, sha256(passwords.caching_sha2 + nonce), sha256, passwords.caching_sha2)
    return False


def usable_methods(passwords: Passwords) -> tuple[str, ...]:
    """The methods by which this password can be checked, the better first."""
    if passwords.is_empty:
        return CACHING_SHA2, NATIVE
    kept = ((CACHING_SHA2, passwords.caching_sha2), (NATIVE, passwords.native))
    return tuple(method for method, digest in kept if digest is not None)


def is_empty_password(proof: bytes) -> bool:
    """Whether the client has no password: some send nothing then, some one zero byte."""
    return proof in (b"", b"\0")
