"""The names clients give the families of raw data."""

from collections.abc import Mapping

from rutile_kv.engine.api import CF_RAW, CF_RAW_LOCK, CF_RAW_WRITE, Cf
from rutile_proto.errors import InvalidRequest

_BY_NAME: Mapping[str, Cf] = {"": CF_RAW, "default": CF_RAW, "lock": CF_RAW_LOCK, "write": CF_RAW_WRITE}


def raw_family(name: str) -> Cf:
    """The engine's family for `cf` of a raw request. Raises InvalidRequest in TiKV's words."""
    family = _BY_NAME.get(name)
    if family is None:
        raise InvalidRequest(f"invalid cf name: {name}")
    return family
