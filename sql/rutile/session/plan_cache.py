"""Plans kept by text: the last used ones, each good for one version of the catalogue."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Plan = TypeVar("Plan")
Key = tuple[str | None, str]
"""(the session's database, the statement's shape or text)."""
DEFAULT_SIZE = 1_024


class PlanCache(Generic[Plan]):
    """Least recently used plans go first."""

    def __init__(self, size: int = DEFAULT_SIZE) -> None:
        self._size = size
        self._plans: OrderedDict[Key, tuple[int, Plan]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def get(self, key: Key, catalog_version: int) -> Plan | None:
        """The plan, if it was made for this version."""
        found = self._plans.get(key)
        if found is None or found[0] != catalog_version:
            self.misses += 1
            return None
        self.hits += 1
        self._plans.move_to_end(key)
        return found[1]

    def put(self, key: Key, catalog_version: int, plan: Plan) -> None:
        self._plans[key] = (catalog_version, plan)
        self._plans.move_to_end(key)
        if len(self._plans) > self._size:
            self._plans.popitem(last=False)

    def __len__(self) -> int:
        return len(self._plans)
