"""Who may come in and fetch what: passwords, tokens, tickets, TLS."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pytest
from flight_world import SECRET, FlightWorld, flight_world
from pyarrow import flight

from rutile.flight.wire import pack
from rutile_kv.env.flight import FlightOptions
from rutile_proto import flightsqlpb_pb2 as pb
from rutile_proto import ticketpb_pb2 as ticketpb
from rutile_proto.signing import Expired, Purpose, SignatureRefused, Signer

PASSWORD = "open sesame"
FOR_EVER = 1 << 45


@pytest.fixture(scope="module")
def guarded() -> Iterator[FlightWorld]:
    """A server whose root has a password."""
    with flight_world(PASSWORD) as opened:
        with opened.sql as sql:
            sql.execute("CREATE TABLE secret (id INT PRIMARY KEY, what TEXT)")
            sql.execute("INSERT INTO secret VALUES (1, 'a'), (2, 'b')")
        yield opened


def scan(client: flight.FlightClient, options: flight.FlightCallOptions | None = None) -> flight.FlightInfo:
    command = pack(pb.CommandStatementQuery(query="SELECT * FROM secret"))
    return client.get_flight_info(flight.FlightDescriptor.for_command(command), options)


def bearer(token: bytes | str) -> flight.FlightCallOptions:
    text = token if isinstance(token, str) else base64.urlsafe_b64encode(token).decode()
    return flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {text}".encode())])


def token(user: str = "root", secret: bytes = SECRET, expires_ms: int = FOR_EVER) -> flight.FlightCallOptions:
    body = ticketpb.UserToken(user=user).SerializeToString()
    return bearer(Signer(secret).sign(Purpose.TOKEN, body, expires_ms))


def test_a_password_opens_and_a_wrong_one_does_not(guarded: FlightWorld) -> None:
    with guarded.connect(username="root", password=PASSWORD) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM secret")
        assert cursor.fetchall() == [(1, "a"), (2, "b")]
    for user, password in [("root", "guess"), ("root", ""), ("admin", PASSWORD)]:
        with pytest.raises(adbc.Error, match=r"(?i)unauth.*Access denied"):
            guarded.connect(username=user, password=password).close()
    with pytest.raises(adbc.Error, match=r"(?i)unauth"), guarded.connect() as connection:
        connection.cursor().execute("SELECT 1")


@pytest.mark.parametrize(
    "options",
    [
        None,
        bearer("nonsense"),
        token(secret=b"another cluster's secret"),
        token(expires_ms=1),
        bearer(Signer(SECRET).sign(Purpose.SCAN, b"", FOR_EVER)),
        flight.FlightCallOptions(headers=[(b"authorization", b"Basic !!!")]),
        flight.FlightCallOptions(headers=[(b"authorization", b"Digest x")]),
    ],
    ids=["none", "nonsense", "foreign", "expired", "a ticket for a token", "bad basic", "other scheme"],
)
def test_bad_tokens(guarded: FlightWorld, options: flight.FlightCallOptions | None) -> None:
    with guarded.client() as client, pytest.raises(flight.FlightUnauthenticatedError) as caught:
        scan(client, options)
    assert "Traceback" not in str(caught.value)


def test_bad_tokens_through_adbc(guarded: FlightWorld) -> None:
    body = ticketpb.UserToken(user="root").SerializeToString()
    tokens = {each: base64.urlsafe_b64encode(Signer(SECRET).sign(Purpose.TOKEN, body, each)).decode()
              for each in (FOR_EVER, 1)}  # fmt: skip
    header = "adbc.flight.sql.authorization_header"
    with guarded.connect(**{header: f"Bearer {tokens[FOR_EVER]}"}) as connection, connection.cursor() as cursor:
        assert cursor.execute("SELECT COUNT(*) FROM secret").fetchall() == [(2,)]
    for bad, says in ((tokens[1], "expired"), ("nonsense", "refused"), (tokens[FOR_EVER][:-8] + "AAAAAAA=", "signed")):
        with (
            guarded.connect(**{header: f"Bearer {bad}"}) as connection,
            connection.cursor() as cursor,
            pytest.raises(adbc.Error, match=rf"(?i)unauth[\s\S]*{says}"),
        ):
            cursor.execute("SELECT 1")


def test_tickets_are_for_their_user_as_they_are_until_they_expire(guarded: FlightWorld) -> None:
    with guarded.client() as client:
        (endpoint,) = scan(client, token()).endpoints
        good = endpoint.ticket.ticket
        assert client.do_get(endpoint.ticket, token()).read_all().num_rows == 2
        with pytest.raises(flight.FlightUnauthorizedError, match="another user"):
            client.do_get(endpoint.ticket, token("eve")).read_all()
        body = Signer(SECRET).open(Purpose.SCAN, good, 0)
        refused = {
            "has expired": Signer(SECRET).sign(Purpose.SCAN, body, 1),
            "not signed by this cluster": Signer(b"another cluster's secret").sign(Purpose.SCAN, body, FOR_EVER),
            "not a scan": Signer(SECRET).sign(Purpose.TOKEN, body, FOR_EVER),
            "refused": good[:-1],
        }
        for says, ticket in refused.items():
            with pytest.raises(flight.FlightUnauthorizedError, match=says):
                client.do_get(flight.Ticket(ticket), token()).read_all()
        for place in range(len(good)):
            forged = bytearray(good)
            forged[place] ^= 1
            with pytest.raises(flight.FlightError):
                client.do_get(flight.Ticket(bytes(forged)), token()).read_all()


def test_results_and_statements_are_their_users(guarded: FlightWorld) -> None:
    with guarded.client() as client:
        command = pack(pb.CommandStatementQuery(query="SELECT COUNT(*) FROM secret"))
        info = client.get_flight_info(flight.FlightDescriptor.for_command(command), token())
        with pytest.raises(flight.FlightError, match="not held"):
            client.do_get(info.endpoints[0].ticket, token("eve")).read_all()
        assert client.do_get(info.endpoints[0].ticket, token()).read_all().num_rows == 1


def test_signatures() -> None:
    signer = Signer(SECRET)
    message = signer.sign(Purpose.TOKEN, b"body", 1000)
    assert signer.open(Purpose.TOKEN, message, 999) == b"body"
    with pytest.raises(Expired):
        signer.open(Purpose.TOKEN, message, 1000)
    for broken in (b"", message[:20], message + b"x", b"x" * 100):
        with pytest.raises(SignatureRefused):
            signer.open(Purpose.TOKEN, broken, 0)
    with pytest.raises(ValueError, match="16 bytes"):
        Signer(b"short")


def test_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    options = FlightOptions("127.0.0.1:0", SECRET, certificate, key)
    with flight_world(PASSWORD, options) as world:
        assert world.node.location.startswith("grpc+tls://")
        roots = {"adbc.flight.sql.client_option.tls_root_certs": certificate.read_text()}
        with world.connect(username="root", password=PASSWORD, **roots) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchall() == [(1,)]
        with pytest.raises(adbc.Error):
            world.connect(username="root", password=PASSWORD).close()


def test_what_does_not_fit_together_is_refused_at_the_start(tmp_path: Path) -> None:
    from rutile.cli import main

    short = tmp_path / "short"
    short.write_text("abc")
    for arguments in (
        ["sql", "--flight-addr", "127.0.0.1:0", "--flight-secret-file", str(short)],
        ["sql", "--flight-addr", "127.0.0.1:0", "--flight-secret-file", str(tmp_path / "missing")],
        ["sql", "--flight-addr", "127.0.0.1:0", "--flight-tls-cert", str(short)],
        ["sql", "--flight-addr", "0.0.0.0:0"],
        ["sql", "--flight-addr", "0.0.0.0:0", "--insecure"],
        ["kv", "--data", str(tmp_path), "--flight-addr", "127.0.0.1:0"],
    ):
        assert main(arguments) == 1


def test_schemas_of_tickets_are_what_comes(guarded: FlightWorld) -> None:
    with guarded.client() as client:
        info = scan(client, token())
        table = client.do_get(info.endpoints[0].ticket, token()).read_all()
        assert table.schema.equals(info.schema, check_metadata=True)
        assert table.column("what").type == pa.string()
