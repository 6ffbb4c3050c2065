"""One warning as rows of the frame that `contagion.review` returns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contagion.kernels.inputs import Floats, Ints
from contagion.system import System

COLUMNS = {"table": "str", "row": "Int64", "name": "str", "warning": "str", "value": "float64", "text": "str"}


def key(*columns: pd.Series[str]) -> pd.MultiIndex:
    """Return the rows of several columns as one index."""
    return pd.MultiIndex.from_arrays(list(columns))


def of_rows(
    system: System, table: str, bad: pd.Series[bool], warning: str, text: str, value: Floats | None = None
) -> pd.DataFrame:
    """Return one warning for each row of a table where ``bad`` holds, named by its first column."""
    frame = getattr(system, table)
    rows = np.flatnonzero(bad.to_numpy(dtype=np.bool_))
    return warn(table, rows, frame.iloc[rows, 0], warning, text, np.nan if value is None else value[rows])


def warn(
    table: str, rows: Ints | None, names: pd.Series[str], warning: str, text: str, value: Floats | float
) -> pd.DataFrame:
    """Return the rows of one warning; ``rows`` count from 0, None for a whole column."""
    frame = pd.DataFrame({"name": names.to_numpy()}, dtype="str")
    number = pd.array([pd.NA] * len(names) if rows is None else rows + 1, dtype="Int64")
    frame = frame.assign(table=table, row=number, warning=warning, value=value, text=text)
    return frame[list(COLUMNS)].astype(COLUMNS)
