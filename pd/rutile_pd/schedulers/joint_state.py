"""Ends joint configurations that nobody is working on: their majority is harder to reach."""

from rutile_pd.operators import Kind, Operator
from rutile_pd.regions import RegionInfo
from rutile_pd.schedulers.view import View
from rutile_pd.steps import LeaveJoint


def check(region: RegionInfo, view: View) -> Operator | None:
    """An operator that leaves the joint configuration; None if there is none."""
    if not region.in_joint:
        return None
    return view.operator(region, "leave joint configuration", (LeaveJoint(),), Kind.REPLICA)
