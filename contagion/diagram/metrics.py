"""How much room words take, by the widths of DejaVu Sans, the widest of the fonts that a diagram may get."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from contagion.diagram.style import INK

__all__ = ["Words", "extent", "fitted", "width"]

_FIRST = 32
_REGULAR = (
    "32 40 46 84 64 95 78 27 39 39 50 84 32 36 32 34 64 64 64 64 64 64 64 64 64 64 34 34 84 84 84 53 100 68 69 70 77 "
    "63 58 77 75 29 29 66 56 86 75 79 60 79 69 63 61 73 68 99 69 61 69 39 34 39 84 50 50 61 63 55 63 62 35 63 63 28 "
    "28 58 28 97 63 61 63 63 41 52 39 63 59 82 59 59 52 64 34 64 84"
)
_BOLD = (
    "35 46 52 84 70 100 87 31 46 46 52 84 38 42 38 37 70 70 70 70 70 70 70 70 70 70 40 40 84 84 84 58 100 77 76 73 83 "
    "68 68 82 84 37 37 77 64 100 84 85 73 85 77 72 68 81 77 110 77 72 73 46 37 46 84 50 50 67 72 59 72 68 44 72 71 34 "
    "34 67 34 104 71 69 72 72 49 60 48 71 65 92 65 65 58 71 37 71 84"
)
_WIDTHS = {bold: tuple(int(n) / 100 for n in table.split()) for bold, table in ((False, _REGULAR), (True, _BOLD))}
_OTHER = {"W": 1.05, "F": 1.05}
_LEADING = 1.22


class Words(NamedTuple):
    """One line of text."""

    words: str
    size: float = 10.0  # points
    colour: str = INK
    bold: bool = False


def width(line: Words) -> float:
    """Return the width of a line in points.

    Examples
    --------
    >>> round(width(Words("USDe", 10)), 1)
    27.5
    """
    table = _WIDTHS[line.bold]
    ems = 0.0
    for character in line.words:
        place = ord(character) - _FIRST
        ems += table[place] if 0 <= place < len(table) else _OTHER.get(unicodedata.east_asian_width(character), 0.72)
    return ems * line.size


def extent(lines: list[Words]) -> tuple[float, float]:
    """Return width and height of lines below each other, in points."""
    return max((width(line) for line in lines), default=0.0), sum(_LEADING * line.size for line in lines)


def fitted(line: Words, most: float) -> Words:
    """Return a line cut to a width in points.

    Examples
    --------
    >>> fitted(Words("a long story", 10), 40.0).words
    'a long…'
    """
    if width(line) <= most:
        return line
    kept = line.words
    while kept and width(line._replace(words=f"{kept}…")) > most:
        kept = kept[:-1]
    return line._replace(words=f"{kept.rstrip()}…")
