"""A system as one Excel workbook, a sheet per table, with the extra ``contagion[excel]``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from contagion import schema
from contagion.errors import InputError
from contagion.io.paths import resembled

__all__ = ["read_workbook", "write_workbook"]

_MAX_ROWS = 1_048_575
"""Rows of a sheet without its header."""

_MAX_TEXT = 32_767

_LOST = re.compile(r"[\x00-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
"""Text that Excel cannot hold, or reads as something else."""


def read_workbook(file: Path) -> dict[str, pd.DataFrame]:
    """Return the tables in the sheets of a workbook; sheets of other names are passed over.

    Raises
    ------
    InputError
        If it cannot be read, has no table, or a sheet looks like a misnamed table.
    """
    _require_openpyxl()
    import openpyxl

    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file; give a workbook with one sheet per table") from None
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise InputError(f"{file}: not a readable Excel workbook: {error}; save it as .xlsx") from None
    try:
        problems = list(_misnamed(file, book.sheetnames))
        frames = {table: _frame(book[table]) for table in schema.TABLES if table in book.sheetnames}
    finally:
        book.close()
    if not frames and not problems:
        problems.append(f"{file}: no table in it; give sheets named after the tables: {', '.join(schema.TABLES)}")
    if problems:
        raise InputError(problems, str(file))
    return frames


def write_workbook(frames: Mapping[str, pd.DataFrame], file: Path) -> None:
    """Write one sheet per table.

    Raises
    ------
    InputError
        If a table has too many rows or characters that Excel does not keep, or openpyxl is not installed.
    """
    _require_openpyxl()
    import openpyxl

    problems = [problem for table, frame in frames.items() for problem in _unfit(table, frame)]
    if problems:
        raise InputError(problems, str(file))
    book = openpyxl.Workbook(write_only=True)
    for table, frame in frames.items():
        sheet = book.create_sheet(table)
        sheet.append([_cell(sheet, str(name)) for name in frame.columns])
        for row in frame.itertuples(index=False, name=None):
            sheet.append([_cell(sheet, value) for value in row])
    book.save(file)


def _require_openpyxl() -> None:
    if find_spec("openpyxl") is None:
        raise InputError('Excel workbooks need an extra; install it: pip install "contagion[excel]"')


def _misnamed(file: Path, sheets: list[str]) -> Iterator[str]:
    for name in sheets:
        meant = resembled(name, sheets)
        if meant is not None:
            yield f"{file}: sheet {name!r} is not a table (did you mean {meant!r}?); rename or remove it"


def _frame(sheet: Any) -> pd.DataFrame:
    rows = sheet.iter_rows(values_only=True)
    header = [_text(value).strip() for value in next(rows, ())]
    used = [column for column, name in enumerate(header) if name]
    filled = (row + (None,) * len(header) for row in rows if any(value is not None for value in row))
    cells = [[_text(row[column]) for column in used] for row in filled]  # Excel stores no empty cells at the end
    return pd.DataFrame(cells, columns=[header[column] for column in used], dtype="str")


def _text(value: object) -> str:
    """Return a cell as text: a whole number as 7, whether it was stored as 7 or 7.0."""
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _cell(sheet: Any, value: Any) -> Any:
    """Return a cell that Excel takes for what it is: text is never a formula, a number has all its digits."""
    from openpyxl.cell import WriteOnlyCell

    if pd.isna(value) or value == "":
        return None
    number = isinstance(value, float) and math.isfinite(value)
    cell = WriteOnlyCell(sheet, value=repr(value) if isinstance(value, float) else str(value))
    cell.data_type = "n" if number else "s"  # given as a number, openpyxl would cut it to 16 digits
    return cell


def _unfit(table: str, frame: pd.DataFrame) -> Iterator[str]:
    if len(frame) > _MAX_ROWS:
        yield f"{table} has {len(frame)} rows, an Excel sheet at most {_MAX_ROWS}; write a folder of CSV or Parquet"
    for name in frame.columns:
        if frame[name].dtype == "float64":
            continue
        for row, value in enumerate(frame[name].astype("str").fillna(""), start=1):
            if _LOST.search(value) or len(value) > _MAX_TEXT:
                yield f"{table} row {row}: {name} {value[:40]!r} is text that Excel does not keep; write CSV or Parquet"
                break
