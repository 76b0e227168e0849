"""docs/ibis.md keeps its word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "ibis.md"


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
def test_the_page_on_ibis_keeps_its_word() -> None:
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    exec(compile(code, str(PAGE), "exec"), {})
