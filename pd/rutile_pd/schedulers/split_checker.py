"""Splits regions where other placement rules begin to hold: one region cannot follow two lists of rules."""

from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.range_steps import SplitAt
from rutile_pd.regions.tree import RegionInfo
from rutile_pd.schedulers.view import View

MAX_KEYS = 64


def check(region: RegionInfo, view: View) -> Operator | None:
    """An operator that splits the region at the borders within it; None if there are none."""
    borders = view.rules.borders_within(region.start_key, region.end_key)
    if not borders or region.leader is None:
        return None
    step = SplitAt(tuple(borders[:MAX_KEYS]), region.version)
    return view.operator(region, "split at the borders of placement rules", (step,), Kind.SPLIT)
