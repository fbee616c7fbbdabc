"""Libraries loaded without torch's compiler, which would take as long again as torch itself.

torchvision asks it whether RoI align can be compiled, Lightning Fabric which modules are compiled ones, and both
load all of it for that, with sympy. Nothing here compiles, so a stand-in answers while they are loaded. Whoever asks the
stand-in for anything else, at any time and in any thread, gets the real module.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch  # noqa: F401  # the stand-in is for a part of it

_COMPILER = "torch._dynamo"
_ASKED = f"{_COMPILER}.utils"


class _StandIn(ModuleType):
    """Takes the place of a module of the compiler until something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system looks for
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


class _IsCompiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        if _COMPILER not in sys.modules:
            return False  # nothing can have been compiled
        return isinstance(instance, _real(_COMPILER).OptimizedModule)


class _OptimizedModule(metaclass=_IsCompiled):
    """Stands for the class of compiled modules: has the same instances."""


def _is_compile_supported(device_type: str) -> bool:
    return bool(_real(_ASKED).is_compile_supported(device_type))


def _real(name: str) -> ModuleType:
    _remove()
    return importlib.import_module(name)


def _remove() -> None:
    for name in (_COMPILER, _ASKED):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


@contextmanager
def without_compiler() -> Iterator[None]:
    """Load libraries within this without torch's compiler."""
    if _COMPILER in sys.modules:
        yield
        return
    compiler, asked = _StandIn(_COMPILER), _StandIn(_ASKED)
    compiler.__path__ = []
    vars(compiler).update(utils=asked, OptimizedModule=_OptimizedModule)
    vars(asked).update(is_compile_supported=_is_compile_supported)
    sys.modules |= {_COMPILER: compiler, _ASKED: asked}
    try:
        yield
    finally:
        _remove()
