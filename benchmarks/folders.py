"""Where a benchmark keeps its files."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def kept_folder(kept: Path | None) -> Iterator[Path]:
    """Where files and cluster lie: in `kept` for ever, or for this run."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="rutile-bench-") as name:
        yield Path(name)
