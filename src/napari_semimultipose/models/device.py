"""Which processor computes, and in which number format."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from functools import cache
from typing import Literal

import torch

from napari_semimultipose.errors import ConfigError

Precision = Literal["32-true", "bf16-mixed"]


def pick_device(name: str) -> torch.device:
    """Resolve the setting ``device``: 'auto' takes a CUDA or Apple GPU where there is one.

    Raises
    ------
    ConfigError
        If there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(
            f"there is no kind of device {name!r}; use auto, cpu, cuda, cuda:1 or mps"
        ) from None
    if device.type == "cuda":
        index = device.index or 0
        if index >= torch.cuda.device_count():
            raise ConfigError(
                f"device {name} is not there: torch finds {torch.cuda.device_count()} CUDA devices"
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device mps is not there: torch finds no Apple GPU")
    return device


def computes_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is quicker than float32 on a device (AVX512-BF16 on a CPU, Ampere or newer)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        return bool(supported and supported())
    return False


def pick_precision(setting: str, device: torch.device) -> Precision:
    """Resolve the setting ``precision`` to the name that Fabric knows."""
    if setting == "bf16" or (setting == "auto" and computes_in_bf16(device)):
        return "bf16-mixed"
    return "32-true"


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks instead of returning them to the system.

    Each training step frees and allocates the same large tensors. By default every such block is
    mapped anew, and the page faults cost a good part of a step on a CPU. Elsewhere than on Linux with
    glibc this does nothing.
    """
    libc = _glibc()
    if libc is None:
        return
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # malloc.h
    # One arena: blocks that one thread takes and another frees would scatter over several.
    libc.mallopt(arena_max, 1)
    libc.mallopt(mmap_max, 0)
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(top_pad, 2**28)


def give_back_memory() -> None:
    """Return the freed blocks that `keep_freed_memory` held to the system.

    Results that stay land between large blocks that come and go, so that the blocks fit no longer and
    memory grows. Called now and then (a few milliseconds) this keeps it bounded.
    """
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL("libc.so.6")
            if libc.mallopt and libc.malloc_trim:
                return libc
    return None
