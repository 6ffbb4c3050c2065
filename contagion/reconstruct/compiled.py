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
def compiled(loop: Callable[..., Any], allocates: bool = True) -> Callable[..., Any]:
    """Return the machine code of a plain loop over arrays; numba is loaded here and nowhere else.

    Loops that make no arrays need not count who holds which: atomic steps that cost as much as all else where many
    arrays are handed to short functions.
    """
    njit = importlib.import_module("numba").njit
    register = importlib.import_module("numba.extending").register_jitable
    while _PARTS:
        register(_PARTS.pop())
    options = {} if allocates else {"_nrt": False}
    made: Callable[..., Any]
    try:
        made = njit(cache=True, **options)(loop)
    except RuntimeError:  # nowhere to keep it: compiled anew in each process
        made = njit(**options)(loop)
    return made
