"""The commands of `rutile ctl`, and how one is run."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

from rutile.ctl import config, consistency, members, mvcc, operators, regions, rules, schedulers, stores, unsafe
from rutile.ctl.console import Console, connect

COMMANDS = (stores, regions, operators, schedulers, rules, config, members, mvcc, consistency, unsafe)

TEXT = """\
look after a running cluster: stores, regions, operators, rules, members
Every command has its own --help. Tables are for people, --json for programs.

  rutile ctl stores                                  who is there, how full, how many leaders
  rutile ctl stores remove 4 --wait                  empty a store, and watch it
  rutile ctl regions --table test.item               where a table's rows are
  rutile ctl regions check                           what is wrong with regions
  rutile ctl operators add transfer-leader 12 3      region 12 is to be led by store 3
  rutile ctl members                                 the placement driver's own members
  rutile ctl --json stores | jq '.[].id'"""


def run(options: argparse.Namespace) -> int:
    """What the parsed command does; the exit code."""
    offline: Callable[[argparse.Namespace], int] | None = getattr(options, "offline", None)
    if offline is not None:
        return offline(options)
    asyncio.run(_run_connected(options))
    return 0


async def _run_connected(options: argparse.Namespace) -> None:
    pd = connect(options.pd.split(","))
    try:
        await options.act(Console(pd, sys.stdout, options.json), options)
    finally:
        await pd.close()
