"""Compilation of kernels, kept on disk where there is room for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

__all__ = ["compiled"]

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiled(kernel: Kernel) -> Kernel:
    """Return a kernel that is compiled when it is first called, and lets go of the interpreter's lock.

    Machine code is kept beside the package, or in ``NUMBA_CACHE_DIR`` or the user's cache; where none of these can be
    written, as in a read-only container, each process compiles anew.
    """
    made: Any
    try:
        made = njit(cache=True, error_model="numpy", nogil=True)(kernel)
    except RuntimeError:  # nowhere to keep it
        made = njit(error_model="numpy", nogil=True)(kernel)
    return cast(Kernel, made)
