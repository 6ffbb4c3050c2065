"""One table as a CSV file, cell by cell as it was written."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contagion.errors import InputError

__all__ = ["read_csv", "write_csv"]

_MARKS = ',"\r\n'
"""Characters for which a cell is quoted."""


def read_csv(file: Path) -> pd.DataFrame:
    """Return the cells of a file as text.

    Raises
    ------
    InputError
        If it is empty, not UTF-8, not separated by commas, or not well-formed.
    """
    try:
        names = _header(file)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header would lose cells
            return pd.read_csv(
                file, header=0, names=names, index_col=False, dtype="str", na_filter=False, encoding="utf-8-sig"
            )
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: not UTF-8 (byte 0x{error.object[error.start]:02x}); save it as CSV UTF-8") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip().rstrip(".")
        raise InputError(f"{file}: not a well-formed CSV file: {reason}; quote cells that hold a comma") from None


def _header(file: Path) -> list[str]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        names = [name.strip() for name in next((row for row in csv.reader(stream) if row), [])]
    if not names:
        raise InputError(f"{file}: empty; give at least the header")
    if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise InputError(f"{file}: the cells are not separated by commas; save it with commas")
    if "" in names:
        raise InputError(
            f"{file}: column {names.index('') + 1} has no name in the header; name it or remove it (pandas writes its "
            "index there: use to_csv(index=False))"
        )
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise InputError(f"{file}: column {repeated[0]!r} stands twice in the header; rename or remove one")
    return names


def write_csv(frame: pd.DataFrame, file: Path) -> None:
    """Write numbers as Python does, which is exact, and quote only the text that needs it."""
    columns = [_cells(frame[name]) for name in frame.columns]
    header = ",".join(_quoted([str(name) for name in frame.columns]))
    with file.open("w", encoding="utf-8", newline="") as stream:
        stream.write(header + "\n")
        stream.writelines(",".join(row) + "\n" for row in zip(*columns, strict=True))


def _cells(values: pd.Series[Any]) -> list[str]:
    if values.dtype == np.float64:
        return ["" if number != number else repr(number) for number in values.tolist()]
    if isinstance(values.dtype, pd.StringDtype):
        return _quoted(values.fillna("").tolist())
    return _quoted(["" if missing else str(value) for value, missing in zip(values, values.isna(), strict=True)])


def _quoted(cells: list[str]) -> list[str]:
    joined = "".join(cells)
    if not any(mark in joined for mark in _MARKS):
        return cells
    return ['"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in _MARKS) else cell for cell in cells]
