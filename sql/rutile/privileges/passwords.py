"""What is kept of a password: two hashes, each of which can check a proof and cannot make one.

    mysql_native_password    SHA1(SHA1(password))
    caching_sha2_password    SHA256(SHA256(password))

The second is what MySQL's server caches after a first, slow login; we keep it for good, so the fast exchange always
works and the password itself never travels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
PLUGINS = (CACHING_SHA2, NATIVE)


def sha1(data: bytes) -> bytes:
    """Of MySQL's older method; it protects nothing new here."""
    return hashlib.sha1(data, usedforsecurity=False).digest()


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@dataclass(frozen=True, slots=True)
class Passwords:
    """The hashes by method. Both None: the empty password. One None: that method cannot be used."""

    native: bytes | None = None
    caching_sha2: bytes | None = None

    @classmethod
    def of(cls, password: str) -> Passwords:
        """The hashes of a password, which is not kept."""
        if not password:
            return cls()
        secret = password.encode()
        return cls(sha1(sha1(secret)), sha256(sha256(secret)))

    @property
    def is_empty(self) -> bool:
        return self.native is None and self.caching_sha2 is None

    def matches(self, password: str) -> bool:
        """Whether this is the password, for ways in that bring it in clear."""
        given = Passwords.of(password)
        if self.caching_sha2 is not None:
            return given.caching_sha2 == self.caching_sha2
        return given.native == self.native
