"""How the tests are shared out where two processes run them."""

from __future__ import annotations

from typing import Any

import pytest

collect_ignore = ["conftest.py"]  # has no doctest, and would be taken for that of another folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """All tests of the one Chromium go to one process, which starts with them; all others one by one to who is free."""
    from xdist.scheduler import LoadScopeScheduling

    class BrowserTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "browser" if nodeid.startswith("tests/browser/") else nodeid

    config.option.loadscopereorder = False
    return BrowserTogether(config, log)
