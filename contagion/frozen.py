"""Objects whose tables cannot be changed by whoever looks at them."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["HandsOutCopies"]


class HandsOutCopies:
    """Base of frozen objects that hold DataFrames or Series: each is handed out as a copy-on-write copy.

    Writing to such a copy leaves the object as it is; until somebody writes, nothing is copied.
    """

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return value.copy(deep=False) if isinstance(value, pd.DataFrame | pd.Series) else value
