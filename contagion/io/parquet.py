"""One table as a Parquet file, with the extra ``contagion[parquet]``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from contagion.errors import InputError

__all__ = ["read_parquet", "require_pyarrow", "write_parquet"]


def read_parquet(file: Path) -> pd.DataFrame:
    """Return the table in a file.

    Raises
    ------
    InputError
        If it is not Parquet, or pyarrow is not installed.
    """
    require_pyarrow()
    try:
        return pd.read_parquet(file, engine="pyarrow")
    except (ValueError, OSError) as error:  # pyarrow's own errors are both
        raise InputError(f"{file}: not a readable Parquet file: {error}") from None


def write_parquet(frame: pd.DataFrame, file: Path) -> None:
    """Write a table.

    Raises
    ------
    InputError
        If pyarrow is not installed.
    """
    require_pyarrow()
    frame.to_parquet(file, engine="pyarrow", index=False)


def require_pyarrow() -> None:
    """Raise what to install, if pyarrow is not."""
    if find_spec("pyarrow") is None:
        raise InputError('Parquet files need an extra; install it: pip install "contagion[parquet]"')
