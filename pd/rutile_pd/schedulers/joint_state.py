"""Ends joint configurations that nobody is working on: their majority is harder to reach."""

from rutile_pd.operators.operator import Kind, Operator
from rutile_pd.operators.steps import LeaveJoint
from rutile_pd.regions.tree import RegionInfo
from rutile_pd.schedulers.view import View


def check(region: RegionInfo, view: View) -> Operator | None:
    """An operator that leaves the joint configuration; None if there is none."""
    if not region.in_joint:
        return None
    return view.operator(region, "leave joint configuration", (LeaveJoint(),), Kind.REPLICA)
