"""How far garbage collection may go, and who holds it back.

The safe point only rises: versions overwritten before it may be gone. A service (a backup, a change feed) holds it back
by registering the timestamp it still needs, for so many seconds; whoever moves the safe point first asks for the least
of these. It does so by a claim of its own, and may take a while then to end old transactions before it raises the safe
point: from that claim on nobody is promised anything below the least of all claims. Expiry is judged on the wall clock,
because registrations outlive the process.
"""

from dataclasses import dataclass

MAX_TTL_S = (1 << 63) - 1
"""A TTL this long never ends."""
GC_WORKER = b"gc_worker"
"""The service in whose name the safe point is moved (TiDB's name for it)."""


@dataclass(frozen=True, slots=True)
class ServiceSafePoint:
    """One service's claim."""

    service_id: bytes
    safe_point: int
    expires_s: int
    """Unix seconds; MAX_TTL_S: never."""

    def ttl_s(self, wall_s: int) -> int:
        """Seconds left at `wall_s`."""
        return MAX_TTL_S if self.expires_s == MAX_TTL_S else self.expires_s - wall_s


class SafePoints:
    """The safe point and the claims of services."""

    def __init__(self, safe_point: int = 0, services: tuple[ServiceSafePoint, ...] = ()) -> None:
        self.safe_point = safe_point
        self._services = {service.service_id: service for service in services}

    def advance(self, safe_point: int) -> int:
        """Raise the safe point; the one in force afterwards. A lower one changes nothing."""
        self.safe_point = max(self.safe_point, safe_point)
        return self.safe_point

    def claim(self, service_id: bytes, ttl_s: int, safe_point: int, wall_s: int) -> ServiceSafePoint | None:
        """Register a claim; None, and nothing is changed, if its versions may be collected already, or soon will be."""
        if safe_point < self.least_claim():
            return None
        expires_s = MAX_TTL_S if ttl_s >= MAX_TTL_S - wall_s else wall_s + ttl_s
        service = self._services[service_id] = ServiceSafePoint(service_id, safe_point, expires_s)
        return service

    def least_claim(self) -> int:
        """The least safe point that can still be claimed. Garbage collection that has begun was told the least of the
        claims of then; while its own is among them, that never falls, since nothing below it is accepted."""
        lowest = self.lowest()
        if lowest is None or GC_WORKER not in self._services:
            return self.safe_point
        return max(self.safe_point, lowest.safe_point)

    def release(self, service_id: bytes) -> bool:
        """Drop a claim; whether there was one."""
        return self._services.pop(service_id, None) is not None

    def expire(self, wall_s: int) -> list[bytes]:
        """Drop the claims whose time is over; their ids."""
        over = [service.service_id for service in self._services.values() if service.expires_s <= wall_s]
        for service_id in over:
            del self._services[service_id]
        return over

    def lowest(self) -> ServiceSafePoint | None:
        """The claim that holds collection back most; None if there is none."""
        return min(self._services.values(), key=lambda service: (service.safe_point, service.service_id), default=None)
