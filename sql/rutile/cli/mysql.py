"""Options of `rutile sql` for MySQL clients: where, root's password, TLS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rutile.cli.verbs import DEFAULT_MYSQL, LOOPBACK_HOSTS, check_address

if TYPE_CHECKING:
    from rutile.mysql.connection import ServerOptions
    from rutile.mysql.login import Security


def add_mysql_options(parser: argparse.ArgumentParser) -> None:
    """`--mysql-addr` and what belongs to it."""
    parser.add_argument(
        "--mysql-addr", default=DEFAULT_MYSQL, metavar="ADDR",
        help=f"listen here for MySQL clients (default {DEFAULT_MYSQL}; port 0: any)",
    )  # fmt: skip
    parser.add_argument(
        "--mysql-password-file", type=Path, metavar="FILE",
        help="root's password on this server is the first line of FILE (default: the one the cluster keeps)",
    )  # fmt: skip
    parser.add_argument("--mysql-tls-cert", type=Path, metavar="FILE", help="offer TLS: certificate chain (PEM)")
    parser.add_argument("--mysql-tls-key", type=Path, metavar="FILE", help="offer TLS: its private key (PEM)")
    parser.add_argument(
        "--mysql-auto-tls", action="store_true",
        help="offer TLS with a certificate made for this run and signed by itself (wants the openssl command)",
    )  # fmt: skip
    parser.add_argument(
        "--require-secure-transport", action="store_true", help="refuse MySQL clients that do not use TLS"
    )


def mysql_options(options: argparse.Namespace) -> ServerOptions:
    """What was asked for. Raises InvalidRequest for what does not fit together, or cannot be read."""
    from rutile.mysql.connection import ServerOptions

    check_address(options, "--mysql-addr")
    return ServerOptions(password=_password(options), security=_security(options))


def _security(options: argparse.Namespace) -> Security:
    from rutile.mysql.login import Security
    from rutile.mysql.tls import self_signed_context, server_context
    from rutile_proto.errors import InvalidRequest

    if (options.mysql_tls_cert is None) != (options.mysql_tls_key is None):
        raise InvalidRequest("--mysql-tls-cert and --mysql-tls-key go together")
    context = None
    if options.mysql_tls_cert is not None:
        try:
            context = server_context(str(options.mysql_tls_cert), str(options.mysql_tls_key))
        except OSError as error:  # ssl.SSLError is one
            raise InvalidRequest(f"--mysql-tls-cert {options.mysql_tls_cert}: {error}") from error
    elif options.mysql_auto_tls:
        context = self_signed_context()
    if options.require_secure_transport and context is None:
        raise InvalidRequest(
            "--require-secure-transport wants --mysql-tls-cert and --mysql-tls-key, or --mysql-auto-tls"
        )
    return Security(context, options.require_secure_transport)


def _password(options: argparse.Namespace) -> str:
    """The password of MySQL's root; it may be empty on loopback only."""
    from rutile_proto.errors import InvalidRequest

    password = ""
    if options.mysql_password_file is not None:
        try:
            password = options.mysql_password_file.read_text().partition("\n")[0].rstrip("\r")
        except OSError as error:
            raise InvalidRequest(f"--mysql-password-file {options.mysql_password_file}: {error.strerror}") from error
    if not password and options.mysql_addr.rpartition(":")[0] not in LOOPBACK_HOSTS:
        raise InvalidRequest(f"--mysql-addr {options.mysql_addr} wants --mysql-password-file: root has no password")
    return password
