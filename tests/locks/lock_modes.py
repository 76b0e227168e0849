"""Where the stores of a test keep pessimistic locks: whoever builds one asks here; the fixture runs it both ways."""

from contextvars import ContextVar

IN_MEMORY: ContextVar[bool] = ContextVar("locks_in_memory", default=True)
