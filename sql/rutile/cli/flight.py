"""Options of the roles that serve Arrow Flight: where, with which secret, with TLS or without."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from rutile.cli.verbs import check_address

if TYPE_CHECKING:
    from rutile_kv.env.flight import FlightOptions


def add_flight_options(parser: argparse.ArgumentParser, what: str) -> None:
    """`--flight-addr` and what belongs to it; `what` says what is served there."""
    parser.add_argument("--flight-addr", metavar="ADDR", help=f"listen here for {what} (default: nowhere; port 0: any)")
    parser.add_argument(
        "--flight-secret-file", type=Path, metavar="FILE",
        help="signs tokens and tickets; the same on every node, so that clients can fetch from the stores",
    )  # fmt: skip
    parser.add_argument("--flight-tls-cert", type=Path, metavar="FILE", help="Flight with TLS: certificate chain (PEM)")
    parser.add_argument("--flight-tls-key", type=Path, metavar="FILE", help="Flight with TLS: its private key (PEM)")


def flight_options(options: argparse.Namespace, *, needs_secret: bool) -> FlightOptions | None:
    """What was asked for; None without `--flight-addr`. InvalidRequest for options that do not fit together.

    Without a secret file (unless `needs_secret`) the secret is this process' own: stores cannot check it.
    """
    if options.flight_addr is None:
        return None
    from rutile.flight.node import secret_from_file
    from rutile_kv.env.flight import FlightOptions
    from rutile_proto.errors import InvalidRequest

    if (options.flight_tls_cert is None) != (options.flight_tls_key is None):
        raise InvalidRequest("--flight-tls-cert and --flight-tls-key go together")
    if options.flight_tls_cert is None:
        check_address(options, "--flight-addr")
    if options.flight_secret_file is not None:
        secret = secret_from_file(options.flight_secret_file)
    elif needs_secret:
        raise InvalidRequest("--flight-addr wants --flight-secret-file: the file that `rutile sql` was given too")
    else:
        secret = secrets.token_bytes(32)
    return FlightOptions(options.flight_addr, secret, options.flight_tls_cert, options.flight_tls_key)
