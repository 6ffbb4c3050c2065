"""Exceptions of the package, and what is wrong with an argument.

::

    ContagionError
    ├── InputError (also a ValueError)       tables, scenario or arguments; lists every problem found
    ├── NotConverged (also a RuntimeError)   carries the unfinished ``.solution``
    └── WorkersLost (also a RuntimeError)    nobody is left to do the work that an engine was given

Checks of arguments return the problems that they find; `refuse` raises them all together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

__all__ = [
    "ContagionError",
    "InputError",
    "NotConverged",
    "WorkersLost",
    "instance",
    "is_number",
    "numbers",
    "refuse",
    "texts",
    "whole",
]

_SHOWN = 5


class ContagionError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ContagionError, ValueError):
    """Input that cannot be used as it is.

    Parameters
    ----------
    problems : sequence of str
        One finished sentence for each kind of problem: where, which rows, what is allowed, what to do.
    subject : str
        What was checked; the first line of the message.
    """

    def __init__(self, problems: str | Sequence[str], subject: str = "input") -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        self.subject = subject
        super().__init__(self.problems, subject)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        count = f"{self.subject}: {len(self.problems)} problems"
        return "\n".join([count, *(f"  - {problem}" for problem in self.problems)])


class NotConverged(ContagionError, RuntimeError):
    """The solver stopped before its fixed point.

    Attributes
    ----------
    solution : Solution
        The state that was reached, with ``rounds``, ``residual``, ``rate`` and ``error_estimate``; prices and losses
        in it are not a result.
    """

    def __init__(self, message: str, solution: Any = None) -> None:
        self.solution = solution
        super().__init__(message, solution)

    def __str__(self) -> str:
        return str(self.args[0])


class WorkersLost(ContagionError, RuntimeError):
    """The workers of an engine are gone, and none has come to take their place."""


def refuse(problems: Sequence[str], subject: str) -> None:
    """Raise all problems as one `InputError`, if there are any."""
    if problems:
        raise InputError(problems, subject)


def instance(name: str, given: object, wanted: type | tuple[type, ...], cure: str) -> list[str]:
    """Return the problem of an argument that is not of a type.

    Examples
    --------
    >>> instance("k", None, int, "a number")
    ['k is a NoneType; give a number']
    """
    return [] if isinstance(given, wanted) else [f"{name} is a {type(given).__name__}; give {cure}"]


def whole(name: str, given: object, least: int) -> list[str]:
    """Return the problem of an argument that is not a whole number of at least so much; those of NumPy are.

    Examples
    --------
    >>> whole("k", 2.5, 1)
    ['k is 2.5; give a whole number of at least 1']
    """
    fits = not isinstance(given, bool) and isinstance(given, Integral) and int(given) >= least
    return [] if fits else [f"{name} is {given!r}; give a whole number of at least {least}"]


def is_number(given: object) -> TypeGuard[float]:
    """Return whether an argument is a finite number, and not a truth value."""
    return not isinstance(given, bool) and isinstance(given, Real) and math.isfinite(given)


def numbers(name: str, given: object, fits: Callable[[float], bool], cure: str) -> list[str]:
    """Return the problem of an argument that is not a list of at least one number, or holds some that do not fit.

    Examples
    --------
    >>> numbers("drops", [0.5, 2, "x"], lambda drop: drop < 1, "numbers below 1")
    ["drops holds 2 and 'x'; give numbers below 1"]
    >>> numbers("drops", [], lambda drop: drop < 1, "numbers below 1")
    ['drops is []; give a list of at least one number']
    """
    if not _is_list(given) or not len(given) or isinstance(given, set | frozenset):  # which have no order
        return [f"{name} is {given!r}; give a list of at least one number"]
    wrong = [each for each in given if not (is_number(each) and fits(each))]
    return [f"{name} holds {_listed(wrong)}; give {cure}"] if wrong else []


def texts(name: str, given: object, what: str = "names") -> list[str]:
    """Return the problem of an argument that is not a list of texts; a single text is none, and is told how to be.

    Examples
    --------
    >>> texts("names", "Aave")
    ["names is 'Aave'; give a list of names, as ['Aave']"]
    >>> texts("names", ["Aave", 3])
    ['names holds 3; give names as text']
    """
    if not _is_list(given):
        example = f", as [{given!r}]" if isinstance(given, str) else ""
        return [f"{name} is {given!r}; give a list of {what}{example}"]
    wrong = [each for each in given if not isinstance(each, str)]
    return [f"{name} holds {_listed(wrong)}; give {what} as text"] if wrong else []


def _is_list(given: object) -> TypeGuard[Collection[Any]]:
    """Return whether an argument is a collection along one axis, and not a text."""
    flat = getattr(given, "ndim", 1) == 1  # arrays of NumPy and pandas may have none, or two
    return flat and isinstance(given, Collection) and not isinstance(given, str | bytes)


def _listed(wrong: Sequence[object]) -> str:
    """Return the first few of what is wrong, and how many more there are."""
    shown = [repr(each) for each in wrong[:_SHOWN]]
    if len(wrong) > _SHOWN:
        return f"{', '.join(shown)} and {len(wrong) - _SHOWN} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
