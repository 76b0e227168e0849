"""Policies: one file each, a function from what PD knows to what it should do.

A *checker* looks at one region and returns an operator for it, or None; `CHECKERS` are asked in order, the first answer
counts. A *scheduler* looks at the stores as a whole and returns operators. Both see the cluster through `View`.
"""

from collections.abc import Callable
from typing import TypeAlias

from rutile_pd.operators import Operator
from rutile_pd.regions import RegionInfo
from rutile_pd.schedulers import balance_leader, joint_state, replica_checker
from rutile_pd.schedulers.view import View

Checker: TypeAlias = Callable[[RegionInfo, View], Operator | None]
Scheduler: TypeAlias = Callable[[View], list[Operator]]

CHECKERS: tuple[Checker, ...] = (joint_state.check, replica_checker.check)
SCHEDULERS: tuple[Scheduler, ...] = (balance_leader.schedule,)

__all__ = ["CHECKERS", "SCHEDULERS", "Checker", "Scheduler", "View"]
