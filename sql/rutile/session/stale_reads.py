"""Reads of the past: AS OF TIMESTAMP, tidb_snapshot, tidb_read_staleness.

What names the moment, the first that does so: the statement; the transaction (START TRANSACTION READ ONLY AS OF
TIMESTAMP); the session's tidb_snapshot; outside of transactions, tidb_read_staleness. Such a read has the catalogue of
that moment, too. It reaches back as far as the safe point of garbage collection.
"""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING

from sqlglot import exp

from rutile import errors
from rutile.catalog import meta
from rutile.catalog.model import CatalogSnapshot
from rutile.errors import SqlError
from rutile.expressions.compile import UTC, Environment, NotCompilable, constant_value
from rutile.rows.readings import datetime_of
from rutile_coprocessor.scalars.moments import to_utc
from rutile_proto.timestamps import compose, physical_ms

if TYPE_CHECKING:
    from rutile.session.session import Session

ER_AS_OF = 8135


class StaleReads:
    """What one session reads of the past."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.transaction_ts: int | None = None
        """The moment of the open read-only transaction AS OF."""

    @property
    def is_active(self) -> bool:
        """Whether statements that say nothing themselves read the past."""
        return self.forbids_writes or self._staleness_s != 0

    @property
    def forbids_writes(self) -> bool:
        """Whether the session is in the past altogether."""
        return self.transaction_ts is not None or bool(self._session.variables.get("tidb_snapshot"))

    @property
    def _staleness_s(self) -> int:
        return int(self._session.variables.get("tidb_read_staleness"))

    async def moment(self, as_of: exp.Expr | None, environment: Environment) -> int | None:
        """The timestamp a statement reads at; None to read as usual. Raises 8135."""
        if as_of is not None:
            return await self.timestamp(as_of, environment)
        if self.transaction_ts is not None:
            return self.transaction_ts
        snapshot = self._session.variables.get("tidb_snapshot")
        if snapshot:
            return await self._checked(snapshot, environment)
        if self._staleness_s and not self._session.transaction.is_open:
            now = await self._session.shared.client.timestamp()
            return compose(max(0, physical_ms(now) + self._staleness_s * 1000))
        return None

    async def timestamp(self, as_of: exp.Expr, environment: Environment) -> int:
        """The timestamp of an AS OF clause. Raises 8135 for what is no moment, or lies ahead."""
        try:
            value = constant_value(as_of, environment)
        except NotCompilable:
            value = (await self._session.queries.constant(as_of, environment)).rows()[0][0]
        return await self._checked(value, environment)

    async def _checked(self, value: object, environment: Environment) -> int:
        ts = _timestamp_of(value, environment)
        if ts is None:
            raise SqlError(ER_AS_OF, f"invalid as of timestamp: {value!r} is no moment")
        if ts > await self._session.shared.client.timestamp():
            raise SqlError(ER_AS_OF, "invalid as of timestamp: cannot set read timestamp to a future time")
        return ts

    async def catalog(self, ts: int) -> CatalogSnapshot:
        """The catalogue as of then."""
        return await meta.load(self._session.shared.client.snapshot(ts))


def _timestamp_of(value: object, environment: Environment) -> int | None:
    """A moment in the session's zone, or a timestamp as @@tidb_current_ts shows it: a number that is no date."""
    local = datetime_of(value)
    if local is None:
        is_number = isinstance(value, int) or (isinstance(value, str) and value.isdigit())
        return int(str(value)) if is_number else None
    moment = local if environment.zone == UTC else to_utc(local, environment.zone)
    if moment is None:
        raise errors.not_supported(f"time zone {environment.zone}")
    return compose(calendar.timegm(moment.timetuple()) * 1000 + moment.microsecond // 1000)
