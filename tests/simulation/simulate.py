"""Runs seeds of the simulation: one with its trace (`make sim SEED=7`), or one after the other until told to stop
(`make sim-long`).

    python tests/simulation/simulate.py --ring 1 --seed 7
    python tests/simulation/simulate.py --long --first 1000 [--minutes 60]
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from group_simulation import GroupSimulation  # noqa: E402
from region_simulation import RegionSimulation  # noqa: E402
from shell_simulation import ShellSimulation  # noqa: E402

from rutile.testing.trace import Trace  # noqa: E402

TAIL_LINES = 60


class Run(Protocol):
    """One simulated cluster."""

    trace: Trace

    def run(self) -> None:
        """Live through the seed. Raises when something does not hold."""

    def simulated_s(self) -> float:
        """How much time has passed in there."""

    def summary(self) -> str:
        """What happened, in a line."""

    def borders_moved(self) -> tuple[int, int]:
        """(regions that began as a part of another, regions that were handed over to another)."""


RINGS: dict[int, Callable[[int], Run]] = {0: GroupSimulation, 1: RegionSimulation, 2: ShellSimulation}


def run_seed(ring: int, seed: int) -> Run:
    """Live through one seed; a failure names it, says how to see it again, and shows what happened last."""
    made = RINGS[ring](seed)
    try:
        made.run()
    except BaseException as error:
        error.add_note(f"{replay_line(ring, seed)}\n{made.trace.tail(TAIL_LINES)}")
        raise
    return made


def replay_line(ring: int, seed: int) -> str:
    """What to type to see it again."""
    return f"replay with: make sim SEED={seed} RING={ring}"


@dataclass
class Tally:
    """What a long run has done so far."""

    seeds: Counter[int] = field(default_factory=Counter)
    """By ring."""
    simulated_s: float = 0.0
    splits: int = 0
    merges: int = 0
    with_both: int = 0
    """Seeds with splits and merges."""
    failures: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, ring: int, made: Run) -> None:
        """A seed has been lived through."""
        self.seeds[ring] += 1
        self.simulated_s += made.simulated_s()
        splits, merges = made.borders_moved()
        self.splits += splits
        self.merges += merges
        self.with_both += splits > 0 and merges > 0

    def __str__(self) -> str:
        took, seeds = time.monotonic() - self.began, self.seeds.total()
        rings = ", ".join(f"{number} in ring {ring}" for ring, number in sorted(self.seeds.items()))
        return (
            f"{seeds} seeds ({rings}), {self.simulated_s / 3600:.2f} simulated hours, {seeds / took:.2f} seeds/s;"
            f" {self.splits} splits, {self.merges} merges, both in {self.with_both} seeds;"
            f" {self.failures} failures in {took:.0f} s"
        )


def run_long(first: int, minutes: float, rings: list[int]) -> int:
    """Seed after seed, the rings taking turns, until the time is up or Ctrl-C. Returns the number of failures."""
    tally = Tally()
    deadline = tally.began + minutes * 60
    try:
        for seed in count(first):
            for ring in rings:
                _try_seed(ring, seed, tally)
            if seed % 50 == 0:
                print(tally, flush=True)
            if time.monotonic() > deadline:
                break
    except KeyboardInterrupt:
        print("stopped")
    print(tally, flush=True)
    return tally.failures


def _try_seed(ring: int, seed: int, tally: Tally) -> None:
    made = RINGS[ring](seed)
    try:
        made.run()
    except Exception as error:
        tally.failures += 1
        print(
            f"ring {ring}, seed {seed}: {type(error).__name__}: {str(error)[:300]}; {replay_line(ring, seed)}",
            flush=True,
        )
    finally:
        tally.add(ring, made)


def run_one(ring: int, seed: int, lines: int) -> int:
    """One seed with its trace. 1 if it failed."""
    made = RINGS[ring](seed)
    try:
        made.run()
    except Exception:
        print(made.trace.tail(lines))
        traceback.print_exc()
        print(f"ring {ring}, seed {seed} failed; {replay_line(ring, seed)}")
        return 1
    print(made.trace.tail(lines))
    print(f"ring {ring}, seed {seed} holds: {made.summary()}; trace {made.trace.digest()}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ring", type=int, choices=sorted(RINGS), help="0: one Raft group; 1: cores; 2: shells (all)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", type=int, default=TAIL_LINES, help="of the trace to show")
    parser.add_argument("--long", action="store_true", help="seed after seed")
    parser.add_argument("--first", type=int, default=int(time.time()), help="the first seed of a long run")
    parser.add_argument("--minutes", type=float, default=1e9)
    options = parser.parse_args()
    if options.long:
        return min(
            1, run_long(options.first, options.minutes, sorted(RINGS) if options.ring is None else [options.ring])
        )
    return run_one(1 if options.ring is None else options.ring, options.seed, options.lines)


if __name__ == "__main__":
    sys.exit(main())
