"""Whether a chart was given what it draws."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contagion.errors import InputError

__all__ = ["table"]


def table(given: object, columns: Sequence[str], chart: str, source: str) -> pd.DataFrame:
    """Return the table that a chart was given, once it has rows and the columns that it draws.

    Parameters
    ----------
    given : object
        What the caller passed.
    columns : sequence of str
        Columns that are drawn.
    chart, source : str
        Names of the chart and of the function whose answer it draws; for the message.

    Raises
    ------
    InputError
        If it is no table, or a column or every row is missing.

    Examples
    --------
    >>> table(None, ["loss"], "draw_loss", "losses(system)")
    Traceback (most recent call last):
    contagion.errors.InputError: draw_loss: a NoneType cannot be drawn; give what losses(system) returns
    """
    remedy = f"give what {source} returns"
    if not isinstance(given, pd.DataFrame):
        raise InputError(f"{chart}: a {type(given).__name__} cannot be drawn; {remedy}")
    missing = [name for name in columns if name not in given.columns]
    if missing:
        raise InputError(f"{chart}: the table has no column {', '.join(missing)}; {remedy}")
    if not len(given):
        raise InputError(f"{chart}: the table has no rows; {remedy}")
    return given
