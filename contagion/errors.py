"""Exceptions of the package.

::

    ContagionError
    ├── InputError (also a ValueError)       tables, scenario or arguments; lists every problem found
    └── NotConverged (also a RuntimeError)   carries the unfinished ``.solution``
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["ContagionError", "InputError", "NotConverged"]


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
