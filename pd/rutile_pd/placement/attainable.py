"""How far apart the replicas of a rule could be, if there were room everywhere.

Looking for a better store for every peer of every region would cost time in proportion to the stores, and nearly always
in vain. So the best score the stores allow is worked out once for each rule, and again only when stores or their labels
change; a region that has reached it is left alone. It is found by choosing stores one after the other, each as far as
possible from those before: distances along a tree of locations are ultrametric, where this greedy choice is best.
"""

from collections.abc import Sequence

from rutile_pd.placement.isolation import Labels, distance_to_all
from rutile_pd.placement.rules import Rule


class Attainable:
    """Best scores by rule, valid for one `version` of the stores."""

    def __init__(self) -> None:
        self._version = -1
        self._scores: dict[Rule, int] = {}

    def score(self, rule: Rule, stores: Sequence[Labels], version: int) -> int:
        """The best isolation score of `rule.count` of the stores. `stores` counts only when `version` is new."""
        if version != self._version:
            self._version, self._scores = version, {}
        if rule not in self._scores:
            allowed = [labels for labels in stores if rule.allows(labels)]
            self._scores[rule] = best_score(allowed, rule.count, rule.location_labels)
        return self._scores[rule]


def best_score(stores: Sequence[Labels], count: int, location_labels: Sequence[str]) -> int:
    """The score of `count` stores chosen as far apart as possible; of all, if there are not more."""
    if not location_labels:
        return 0
    left, chosen, total = list(stores), list[Labels](), 0
    while left and len(chosen) < count:
        gains = [distance_to_all(labels, chosen, location_labels) for labels in left]
        place = max(range(len(left)), key=gains.__getitem__)
        total += gains[place]
        chosen.append(left.pop(place))
    return total
