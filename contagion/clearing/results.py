"""What every model hands back besides its numbers, and what happens when it has not converged."""

from __future__ import annotations

from typing import Any, Literal, Protocol, Self, TypeVar, overload

import pandas as pd

from contagion.clearing.problems import choice
from contagion.errors import NotConverged

__all__ = ["Column", "OnFailure", "checked", "failure_choice"]

OnFailure = Literal["raise", "return"]


class Column:
    """An attribute of a result that is a column of its ``frame`` (or of another table) with the same name.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Result:
    ...     frame: pd.DataFrame
    ...     loss = Column("Losses, USD by node.")
    >>> Result(pd.DataFrame({"loss": [1.0, 2.0]})).loss.sum()
    np.float64(3.0)
    """

    def __init__(self, says: str, table: str = "frame") -> None:
        self.__doc__, self._table = says, table

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, result: None, owner: type) -> Self: ...
    @overload
    def __get__(self, result: object, owner: type) -> pd.Series[Any]: ...
    def __get__(self, result: object | None, owner: type) -> Self | pd.Series[Any]:
        """Return the column of a result."""
        if result is None:
            return self
        column: pd.Series[Any] = getattr(result, self._table)[self._name]
        return column


class _Result(Protocol):
    @property
    def converged(self) -> bool: ...
    @property
    def rounds(self) -> int: ...
    @property
    def residual(self) -> float: ...


R = TypeVar("R", bound=_Result)


def failure_choice(on_failure: object) -> list[str]:
    """Return that ``on_failure`` is neither "raise" nor "return"."""
    return choice("on_failure", on_failure, ("raise", "return"))


def checked(result: R, subject: str, on_failure: OnFailure, advice: str = "raise max_rounds") -> R:
    """Return the result of a model if it converged or ``on_failure`` is "return".

    Parameters
    ----------
    result : any result with ``converged``, ``rounds`` and ``residual``
    subject : str
        The model.
    on_failure : {"raise", "return"}
    advice : str
        What the reader can do.

    Raises
    ------
    NotConverged
        Otherwise; it carries the result as ``solution``.
    """
    if result.converged or on_failure == "return":
        return result
    reached: Any = result
    message = (
        f"{subject}: no fixed point after {result.rounds} rounds, residual {result.residual:.1e}; {advice}, "
        'or take the unfinished result with on_failure="return"'
    )
    raise NotConverged(message, reached)
