"""Loops that no array operation replaces, compiled when they are first needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["compiled"]


@cache
def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Return the machine code of a plain loop over arrays; numba is loaded here and nowhere else."""
    njit = importlib.import_module("numba").njit
    made: Callable[..., Any]
    try:
        made = njit(cache=True)(loop)
    except RuntimeError:  # nowhere to keep it: compiled anew in each process
        made = njit(loop)
    return made
