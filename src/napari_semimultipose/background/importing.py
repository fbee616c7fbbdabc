"""The first piece of work of a process that is to be ready when it is needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator


def imported(*modules_and_stop: str | Callable[[], bool]) -> Iterator[str]:
    """Import modules, and yield the name of each; the last argument says whether to stop."""
    *modules, should_stop = modules_and_stop
    assert callable(should_stop)
    for module in modules:
        if should_stop():
            return
        importlib.import_module(str(module))
        yield str(module)
