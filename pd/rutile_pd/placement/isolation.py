"""How far apart stores are, by labels that say where they stand: zone, rack, host, widest first.

Two stores that differ in the first of n labels count 100^(n-1), in the second 100^(n-2), and so on; 0 if they differ in
none. The score of a set of stores is the sum over its pairs, so that (up to a hundred pairs) no number of different
racks outweighs a different zone. A store without the label differs from every other.
"""

from collections.abc import Sequence
from typing import TypeAlias

Labels: TypeAlias = dict[str, str]

_BASE = 100


def distance(one: Labels, other: Labels, location_labels: Sequence[str]) -> int:
    """What one pair of stores counts."""
    for place, name in enumerate(location_labels):
        value = one.get(name)
        if not value or value != other.get(name):
            return int(_BASE ** (len(location_labels) - place - 1))
    return 0


def distance_to_all(one: Labels, others: Sequence[Labels], location_labels: Sequence[str]) -> int:
    """What a store would add to the score of `others`."""
    if not location_labels:
        return 0
    return sum(distance(one, other, location_labels) for other in others)


def score(stores: Sequence[Labels], location_labels: Sequence[str]) -> int:
    """The sum over all pairs."""
    if not location_labels:
        return 0
    return sum(distance_to_all(one, stores[:place], location_labels) for place, one in enumerate(stores))


def is_isolated(one: Labels, others: Sequence[Labels], location_labels: Sequence[str], level: str) -> bool:
    """Whether a store shares `level`, as one of the location labels, with none of the others. No level: always."""
    if not level:
        return True
    down_to_level = location_labels[: list(location_labels).index(level) + 1]
    return all(distance(one, other, down_to_level) > 0 for other in others)
