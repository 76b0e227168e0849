"""What a table demands of every row: generated columns and CHECK constraints, as the catalogue keeps them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class GeneratedColumn:
    """A column computed from others when a row is written. VIRTUAL ones are kept as STORED ones are."""

    column_id: int
    sql: str
    stored: bool


@dataclass(frozen=True, slots=True)
class CheckConstraint:
    """A condition no row may fail; NULL does not fail it."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All of a table's."""

    generated: tuple[GeneratedColumn, ...] = ()
    checks: tuple[CheckConstraint, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.generated or self.checks)

    @property
    def expressions(self) -> tuple[str, ...]:
        """The text of every expression."""
        return (*(each.sql for each in self.generated), *(each.sql for each in self.checks))

    def to_json(self) -> dict[str, Any]:
        """For the catalogue's JSON."""
        return asdict(self)

    @staticmethod
    def from_json(body: dict[str, Any]) -> RuleSet:
        """What `to_json` made."""
        return RuleSet(
            tuple(GeneratedColumn(**each) for each in body["generated"]),
            tuple(CheckConstraint(**each) for each in body["checks"]),
        )


NO_RULES = RuleSet()
