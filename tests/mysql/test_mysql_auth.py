"""Proofs of passwords, against PyMySQL's own way of making them and against fixed vectors."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql import _auth as pymysql_auth

from rutile.mysql.auth import accepts, caching_sha2_proof, native_proof, new_nonce, usable_methods
from rutile.privileges.passwords import CACHING_SHA2, NATIVE, Passwords

NONCE = bytes(range(1, 21))
NATIVE_VECTOR = "b32bb3a583e1340c0a1108d58b1be49781ad8c2f"
SHA2_VECTOR = "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9"
PASSWORDS = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable())
NONCES = st.binary(min_size=20, max_size=20)


@given(PASSWORDS, NONCES)
def test_proofs_are_those_pymysql_makes(password: str, nonce: bytes) -> None:
    secret = password.encode()
    assert native_proof(password, nonce) == pymysql_auth.scramble_native_password(secret, nonce)
    assert caching_sha2_proof(password, nonce) == pymysql_auth.scramble_caching_sha2(secret, nonce)


def test_vectors() -> None:
    assert native_proof("secret", NONCE).hex() == NATIVE_VECTOR
    assert caching_sha2_proof("secret", NONCE).hex() == SHA2_VECTOR
    stored = Passwords.of("secret").native
    assert stored is not None
    # What MySQL shows in mysql.user for this password.
    assert stored.hex() == hashlib.sha1(hashlib.sha1(b"secret").digest()).hexdigest()
    assert stored.hex() == "14e65567abdb5135d0cfd9a70b3032c179a49ee7"


@given(PASSWORDS, PASSWORDS, NONCES)
def test_only_the_right_password_is_accepted(password: str, other: str, nonce: bytes) -> None:
    kept = Passwords.of(password)
    assert kept.matches(password) and kept.matches(other) == (other == password)
    for method, proof in ((NATIVE, native_proof), (CACHING_SHA2, caching_sha2_proof)):
        assert accepts(kept, method, proof(password, nonce), nonce)
        assert accepts(kept, method, proof(other, nonce), nonce) == (other == password)
        assert not accepts(kept, method, b"", nonce)
        assert not accepts(kept, method, proof(password, nonce)[:-1], nonce)
        assert not accepts(kept, "mysql_clear_password", password.encode(), nonce)


@pytest.mark.parametrize("empty", [b"", b"\0"])
def test_the_empty_password(empty: bytes) -> None:
    kept = Passwords.of("")
    assert accepts(kept, CACHING_SHA2, empty, NONCE)
    assert not accepts(kept, CACHING_SHA2, caching_sha2_proof("x", NONCE), NONCE)


def test_a_password_kept_for_one_method_is_checked_by_that_only() -> None:
    native = Passwords(native=Passwords.of("x").native)
    assert usable_methods(native) == (NATIVE,)
    assert accepts(native, NATIVE, native_proof("x", NONCE), NONCE)
    assert not accepts(native, CACHING_SHA2, b"", NONCE)
    assert native.matches("x") and not native.matches("y")


def test_nonces_hold_no_byte_that_clients_trip_over() -> None:
    nonces = [new_nonce() for _ in range(300)]
    assert len(set(nonces)) == 300
    assert all(len(nonce) == 20 and not {0, 36} & set(nonce) for nonce in nonces)
