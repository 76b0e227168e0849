"""TLS within a link: bytes of the socket in, bytes of the protocol out, and back.

The client asks for TLS in the middle of the conversation, and may have sent its ClientHello in the same segment as the
request. So the records go through memory buffers: what has arrived already is simply the first of them.
"""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from collections.abc import Callable

from rutile.session.counters import Encryption
from rutile_proto.errors import InvalidRequest

_READ_BYTES = 64 << 10


class TlsLayer:
    """One connection's TLS, on the server's side. `write_out` takes records for the socket."""

    def __init__(self, context: ssl.SSLContext, write_out: Callable[[bytes], None]) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._write_out = write_out
        self.is_established = False

    @property
    def encryption(self) -> Encryption:
        """What was agreed on."""
        cipher = self._tls.cipher()
        return Encryption(cipher[0] if cipher is not None else "", self._tls.version() or "")

    def receive(self, data: bytes) -> bytes:
        """What the records say. Raises ssl.SSLError for what is no TLS, or not acceptable."""
        self._incoming.write(data)
        try:
            if not self.is_established:
                self._handshake()
            return self._plaintext() if self.is_established else b""
        finally:
            self._send_records()

    def send(self, plaintext: bytes) -> None:
        """Encrypt and pass on."""
        if plaintext:
            self._tls.write(plaintext)
            self._send_records()

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_established = True

    def _plaintext(self) -> bytes:
        parts = []
        try:
            while part := self._tls.read(_READ_BYTES):
                parts.append(part)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass  # all that has come is read
        return b"".join(parts)

    def _send_records(self) -> None:
        records = self._outgoing.read()
        if records:
            self._write_out(records)


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 and up with this certificate (PEM files). Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context


def self_signed_context() -> ssl.SSLContext:
    """TLS with a certificate made now by the `openssl` command, for who wants encryption without naming the server.

    Raises InvalidRequest where there is no such command.
    """
    with tempfile.TemporaryDirectory(prefix="rutile-tls-") as folder:
        certificate, key = f"{folder}/certificate.pem", f"{folder}/key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        try:
            subprocess.run(
                [*command, "-days", "365", "-subj", "/CN=rutile", "-keyout", key, "-out", certificate],
                check=True, capture_output=True,
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError) as error:
            raise InvalidRequest(f"no certificate could be made by the openssl command: {error}") from error
        return server_context(certificate, key)
