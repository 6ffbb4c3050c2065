"""Arrays on disk, one after the other in one file, which are mapped into memory and let go again."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chest"]

_PAGE = 4096


class Chest(NamedTuple):
    """A file of arrays, and where in it each of them stands."""

    path: Path
    places: tuple[tuple[str, tuple[int, ...], int], ...]  # data type, shape, first byte

    @classmethod
    def write(cls, path: Path, arrays: Sequence[NDArray[Any]]) -> Chest:
        """Return the chest of some arrays, written to a file; zeros are left out, so that nothing stands for them."""
        places, end = [], 0
        with path.open("wb") as file:
            for array in arrays:
                places.append((array.dtype.str, array.shape, end))
                if array.any():
                    file.seek(end)
                    np.ascontiguousarray(array).tofile(file)
                end += -(-array.nbytes // _PAGE) * _PAGE
            file.truncate(max(end, _PAGE))
        return cls(path, tuple(places))

    def open(self, writable: bool = False) -> list[NDArray[Any]]:
        """Return the arrays, mapped into memory for as long as anybody holds one of them.

        What is written to ``writable`` ones goes to the file, page by page; what is written to others is lost.
        """
        with self.path.open("r+b" if writable else "rb") as file:
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_COPY
            room = mmap.mmap(file.fileno(), 0, access=access)
        return [
            np.frombuffer(room, dtype, int(np.prod(shape)), first).reshape(shape)
            if np.prod(shape)
            else np.zeros(shape, dtype)
            for dtype, shape, first in self.places
        ]

    def ahead(self) -> None:
        """Ask for the file to be read, for it will be opened soon."""
        if hasattr(os, "posix_fadvise"):
            with self.path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
