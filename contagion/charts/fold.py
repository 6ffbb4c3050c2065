"""Which lines a panel shows: the largest, lines that run alike as one, and the rest put together or in grey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion.diagram.labels import short
from contagion.kernels.inputs import Floats

__all__ = ["Line", "alike", "stacked"]

_ALIKE = 0.005
"""Share of a panel's range by which lines that count as one may differ."""


class Line(NamedTuple):
    """A line and what it stands for."""

    name: str  # of the first member
    values: Floats  # by round
    members: tuple[str, ...]

    def words(self) -> str:
        """Return the name, and how many others run like it."""
        more = len(self.members) - 1
        return short(self.name, 24) if more < 1 else f"{short(self.name, 20)} and {more} more"


def alike(wide: pd.DataFrame, order: Sequence[str], most: int) -> list[Line]:
    """Return the first lines in order, with those that run like an earlier one counted to it.

    Parameters
    ----------
    wide : DataFrame
        One column a series, one row a round.
    order : sequence of str
        Columns, the most telling first.
    most : int
        Lines to return.
    """
    values = wide[list(order)].to_numpy(dtype=np.float64)
    near = _ALIKE * float(np.ptp(values)) if values.size else 0.0
    left = np.ones(len(order), dtype=bool)
    lines: list[Line] = []
    while left.any() and len(lines) < most:
        first = int(left.argmax())
        same = left & (np.abs(values - values[:, [first]]).max(axis=0) <= near)
        members = tuple(str(order[at]) for at in same.nonzero()[0])
        lines.append(Line(members[0], values[:, first], members))
        left &= ~same
    return lines


def stacked(wide: pd.DataFrame, most: int, least: float = 0.02) -> list[Line]:
    """Return the series that end largest, and "other n" for what is beyond ``most`` or below a share of the total.

    Examples
    --------
    >>> wide = pd.DataFrame({"a": [0.0, 70.0], "b": [0.0, 1.0], "c": [0.0, 29.0], "d": [0.0, 1.0], "e": [0.0, 0.0]})
    >>> [(line.name, line.values[-1].item()) for line in stacked(wide, most=3)]
    [('a', 70.0), ('c', 29.0), ('other 2', 2.0)]
    """
    wide = wide.loc[:, (wide > 0.0).any()]
    last = wide.iloc[-1].sort_values(ascending=False, kind="stable")
    total = float(last.sum())
    small = [name for rank, name in enumerate(last.index) if rank >= most - 1 or last[name] < least * total]
    if len(small) == 1:
        small = []
    lines = [
        Line(str(name), wide[name].to_numpy(dtype=np.float64), (str(name),)) for name in last.index if name not in small
    ]
    if small:
        lines.append(Line(f"other {len(small)}", wide[small].sum(axis=1).to_numpy(dtype=np.float64), ()))
    return lines
