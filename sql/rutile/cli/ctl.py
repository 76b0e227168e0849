"""What looks after a cluster: `rutile ctl`, with the commands of `rutile.ctl`."""

from __future__ import annotations

from rutile.cli.verbs import DEFAULT_PD, Verbs, add_verb
from rutile.ctl import COMMANDS, TEXT, run


def add_ctl(verbs: Verbs) -> None:
    """`rutile ctl`."""
    parser = add_verb(verbs, "ctl", TEXT)
    parser.add_argument("--pd", default=DEFAULT_PD, metavar="ADDR[,ADDR]", help=f"placement driver ({DEFAULT_PD})")
    parser.add_argument("--json", action="store_true", help="JSON instead of tables")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    parser.set_defaults(run=run)
