"""Signed messages that any node of a cluster can check: Flight tickets and bearer tokens.

    magic (2 bytes) | purpose (1) | expiry, ms since 1970 (8, big-endian) | body | HMAC-SHA256 of all before (32)

The secret is shared by configuration. There is no state and no revocation: what is signed holds until it expires. The
purpose is under the signature, so that a token never passes for a ticket.
"""

from __future__ import annotations

import hmac
from enum import IntEnum
from hashlib import sha256

from rutile_proto.errors import RutileError

MIN_SECRET_BYTES = 16
_MAGIC = b"R\x01"
_HEAD_BYTES = len(_MAGIC) + 1 + 8
_MAC_BYTES = sha256().digest_size


class SignatureRefused(RutileError):
    """A signed message that this cluster did not make, or made for something else, or too long ago."""


class Expired(SignatureRefused):
    """It was good once."""


class Purpose(IntEnum):
    """What a signed message is for."""

    TOKEN = 1
    SCAN = 2


class Signer:
    """Signs and checks with one secret."""

    def __init__(self, secret: bytes) -> None:
        """ValueError for a secret of fewer than MIN_SECRET_BYTES bytes."""
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a secret has at least {MIN_SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret

    def sign(self, purpose: Purpose, body: bytes, expires_ms: int) -> bytes:
        """`body` with its purpose, expiry (ms since 1970) and signature."""
        signed = _MAGIC + bytes([purpose]) + expires_ms.to_bytes(8, "big") + body
        return signed + self._mac(signed)

    def open(self, purpose: Purpose, message: bytes, now_ms: int) -> bytes:
        """The body of a signed message. Raises SignatureRefused, or Expired."""
        signed, mac = message[:-_MAC_BYTES], message[-_MAC_BYTES:]
        if len(message) < _HEAD_BYTES + _MAC_BYTES or not hmac.compare_digest(mac, self._mac(signed)):
            raise SignatureRefused("it was not signed by this cluster")
        if signed[:2] != _MAGIC or signed[2] != purpose:
            raise SignatureRefused(f"it is not a {purpose.name.lower()}")
        if int.from_bytes(signed[3:_HEAD_BYTES], "big") <= now_ms:
            raise Expired("it has expired")
        return signed[_HEAD_BYTES:]

    def _mac(self, signed: bytes) -> bytes:
        return hmac.new(self._secret, signed, sha256).digest()


def looks_signed(message: bytes) -> bool:
    """Whether a message is, by its looks, one of ours."""
    return message.startswith(_MAGIC)
