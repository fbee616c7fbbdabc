"""Importing torch in a worker thread without stopping the viewer.

Two things hold Python's global lock for hundreds of milliseconds while torch is imported: the
dynamic loader (the libraries have gigabytes), and full passes of the garbage collector over the
many objects that the modules create. Both are taken off the lock here. A third thing can end the
whole program: see `_keep_triton_out`.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LIBRARIES = ("c10", "torch_cpu", "torch")
_RTLD_NOW = 2
_SWITCH_S = 0.001

_lock = threading.Lock()
_at_work = 0
_usual_interval_s = sys.getswitchinterval()


def import_quietly(*modules: str) -> None:
    """Import modules that need torch; to be called in the worker thread.

    The same as importing them, but other threads wait for tens instead of hundreds of milliseconds.
    Errors are those of the imports.
    """
    _keep_triton_out()
    if "torch" not in sys.modules:
        _map_libraries()
    with collector_at_rest():
        for name in modules:
            importlib.import_module(name)


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """No garbage is collected in this block; afterwards, what it created is not looked at again.

    A full pass over the objects of torch alone takes 0.2 s, during which no other Python code can
    run, and they are there to stay. They count again after `long_work`.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


@contextmanager
def long_work() -> Iterator[None]:
    """Keep the viewer quick while the calling thread works; undone at the end of the last block.

    Threads hand Python's global lock over after 5 ms at the latest, and the viewer needs it a dozen
    times to draw itself once: under a worker that computes in Python, drawing the training plot
    took 34 to 95 ms, and 18 ms with the interval below. Torch and numpy let go of the lock anyway.

    At the end the garbage collector looks again at what `collector_at_rest` has put out of its
    sight: not only torch, but a viewer that has been closed meanwhile, for example.
    """
    global _at_work, _usual_interval_s
    with _lock:
        if not _at_work:
            _usual_interval_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_SWITCH_S, _usual_interval_s))
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if not _at_work:
                sys.setswitchinterval(_usual_interval_s)
                gc.unfreeze()


def _keep_triton_out() -> None:
    """Make ``import triton`` fail where it would crash.

    Mesa, which draws the viewer on most Linux machines without an NVIDIA card, loads the system's
    LLVM. The library of triton, which comes with torch and is imported where it is found, has an
    LLVM of its own with the same symbols: imported second, it ends the process with a segmentation
    fault (triton-lang/triton#1236). Torch needs it for ``torch.compile`` only, which is not used
    here, and does without when it cannot be imported.
    """
    if not sys.platform.startswith("linux") or "triton" in sys.modules:
        return
    try:
        loaded = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    if "libLLVM" in loaded:
        sys.modules["triton"] = None  # type: ignore[assignment]  # Python's sign for "is not there"


def _map_libraries() -> None:
    """Have the system load torch's libraries; ctypes lets go of the global lock meanwhile.

    On Windows torch does the same on its own. Without success nothing is lost: the import loads
    what is missing.
    """
    if sys.platform == "win32":
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    load = ctypes.CDLL(None).dlopen
    load.restype = ctypes.c_void_p
    load.argtypes = [ctypes.c_char_p, ctypes.c_int]
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    for name in _LIBRARIES:
        path = folder / f"lib{name}{suffix}"
        if path.exists():
            load(os.fsencode(path), _RTLD_NOW)
