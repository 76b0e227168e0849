"""Lets the tests of this folder import `mirror_world`: --import-mode=importlib puts no folder on the path."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rutile_coprocessor.row import RowCodec
from rutile_kv.mvcc import bulk

sys.path.append(str(Path(__file__).parent))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call of the decoder made."""
    counts: list[int] = []
    decode: Callable[..., object] = RowCodec.decode_bytes

    def counting(self: RowCodec, rows: tuple[bulk.RowBytes, ...], *rest: object) -> object:
        counts.append(sum(map(len, rows)))
        return decode(self, rows, *rest)

    monkeypatch.setattr(RowCodec, "decode_bytes", counting)
    return counts
