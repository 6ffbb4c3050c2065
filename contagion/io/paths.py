"""What is wrong with paths, folders and names of files, said as `contagion.InputError`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from contagion import schema
from contagion.errors import InputError, instance

__all__ = ["check_path", "few", "kind_of", "reading", "resembled", "unreadable"]

_RESEMBLES = 0.81
"""Similarity from which an unknown name is taken for a misnamed table."""

_SHOWN = 5


def check_path(name: str, given: object) -> list[str]:
    """Return the problem of an argument that is no path.

    Examples
    --------
    >>> check_path("folder", 3)
    ['folder is a int; give a path, as text or pathlib.Path']
    """
    return instance(name, given, (str, PathLike), "a path, as text or pathlib.Path")


def unreadable(path: Path, error: OSError) -> str:
    """Return that something cannot be read, and why."""
    return f"{path}: cannot be read ({error.strerror or error}); mend its permissions, or give another"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Look at files, of which the system's own errors become an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(unreadable(path, error)) from None


def kind_of(path: Path) -> str:
    """Return what a path is that is no file of the expected kind."""
    if path.is_dir():
        return "a folder"
    return "a file" if path.exists() else "a link to nothing"


def few(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are.

    Examples
    --------
    >>> few(["a", "b"]), few(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def resembled(name: str, present: Collection[str]) -> str | None:
    """Return the table that an unknown name looks like, unless that table is present or nothing is alike.

    Examples
    --------
    >>> resembled("claim", []), resembled("claim", ["claims"]), resembled("claims", []), resembled("notes.old", [])
    ('claims', None, None, None)
    """
    close = difflib.get_close_matches(name.strip().casefold(), schema.TABLES, n=1, cutoff=_RESEMBLES)
    return close[0] if name not in schema.TABLES and close and close[0] not in present else None
