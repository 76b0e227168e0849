"""Policies: one file each, a function from what PD knows to what it should do.

A *checker* looks at one region and returns an operator for it, or None. Each region is checked at each of its
heartbeats and by a patrol; the checkers are asked in order, and the first answer counts:

    joint_state      ends joint configurations left standing
    split_checker    splits at the borders of placement rules
    rule_checker     missing, lost, misplaced and superfluous peers; roles; isolation
    merge_checker    small neighbours become one (two operators: one for each of them)

A *scheduler* looks at the stores as a whole and returns operators, at each tick, as far as limits leave room:

    balance_leader   as many leaders everywhere, by weight
    balance_region   as many bytes everywhere, by weight and room
    hot_region       as much load everywhere
    evict_leader     no leaders on some stores
    scatter          one group of regions spread evenly, on request

All see the cluster through `View`. No policy's time depends on the number of regions: stores are kept in the order of
their scores, regions of a store are drawn at random, and what a rule could attain is remembered.
"""

from collections.abc import Callable
from typing import TypeAlias

from rutile_pd.operators.operator import Operator
from rutile_pd.regions.tree import RegionInfo
from rutile_pd.schedulers import joint_state, rule_checker, split_checker
from rutile_pd.schedulers.view import View

Checker: TypeAlias = Callable[[RegionInfo, View], Operator | None]

CHECKERS: tuple[Checker, ...] = (joint_state.check, split_checker.check, rule_checker.check)

__all__ = ["CHECKERS", "Checker", "View"]
