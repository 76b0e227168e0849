"""What raw requests have in common: bounds, in TiKV's words, and where a refusal goes."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from google.protobuf.message import Message

from rutile_kv.server.validation import MAX_KEY_BYTES
from rutile_proto.errors import InvalidRequest

Response = TypeVar("Response", bound=Message)
Method = Callable[[Any, Any], Awaitable[Response]]


def refusals_in_text(response_type: type[Response]) -> Callable[[Method[Response]], Method[Response]]:
    """Makes a method's InvalidRequest the `error` text of its response, where clients of raw data look for it."""

    def decorate(method: Method[Response]) -> Method[Response]:
        @functools.wraps(method)
        async def answer(self: object, request: object) -> Response:
            try:
                response: Response = await method(self, request)
            except InvalidRequest as error:
                fields: dict[str, Any] = {"error": str(error)}
                response = response_type(**fields)
            return response

        return answer

    return decorate


def check_raw_key(key: bytes) -> None:
    """Any bytes will do, none too: but not more than MAX_KEY_BYTES."""
    if len(key) > MAX_KEY_BYTES:
        raise InvalidRequest(f"max key size exceeded, size: {len(key)}, limit: {MAX_KEY_BYTES}")


def check_raw_keys(keys: Iterable[bytes]) -> None:
    """The same for each; one pass over them costs less than a call for each."""
    longest = max(keys, key=len, default=b"")
    check_raw_key(longest)
