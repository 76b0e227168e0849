"""Ends joint configurations that nobody is working on: their majority is harder to reach."""

from rutile_pd.operators import LeaveJoint, Operator, in_joint
from rutile_pd.regions import RegionInfo
from rutile_pd.schedulers.view import View


def check(region: RegionInfo, view: View) -> Operator | None:
    """An operator that leaves the joint configuration; None if there is none."""
    if not in_joint(region):
        return None
    return Operator.on(region, "leave joint configuration", (LeaveJoint(),), view.now_ms)
