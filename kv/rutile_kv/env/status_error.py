"""A call that ended with a gRPC status, though it was not gRPC that carried it."""

from __future__ import annotations

import grpc


class StatusError(grpc.RpcError):  # type: ignore[misc]
    """Answers like the errors of gRPC's own calls, so that who calls need not know which way the call went."""

    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        super().__init__(f"{code.name}: {details}")
        self._code = code
        self._details = details

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """The text with it."""
        return self._details
