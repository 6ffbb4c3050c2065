"""Loops that no array operation replaces, compiled when they are first needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

__all__ = ["compiled", "part"]

Function = TypeVar("Function", bound=Callable[..., Any])

_PARTS: list[Callable[..., Any]] = []


def part(function: Function) -> Function:
    """Mark a function that compiled loops of its own file call; it stays a plain one for everybody else.

    Of the same file, for machine code that is kept is made anew only when the file of its loop has changed.
    """
    _PARTS.append(function)
    return function


@cache
def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Return the machine code of a plain loop over arrays; numba is loaded here and nowhere else."""
    njit = importlib.import_module("numba").njit
    register = importlib.import_module("numba.extending").register_jitable
    while _PARTS:
        register(_PARTS.pop())
    made: Callable[..., Any]
    try:
        made = njit(cache=True)(loop)
    except RuntimeError:  # nowhere to keep it: compiled anew in each process
        made = njit(loop)
    return made
