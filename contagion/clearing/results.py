"""What every model hands back besides its numbers, and what happens when it has not converged."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeVar

from contagion.clearing.problems import choice
from contagion.errors import NotConverged

__all__ = ["OnFailure", "checked", "failure_choice"]

OnFailure = Literal["raise", "return"]


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
