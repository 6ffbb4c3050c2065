"""How charts look: colours that colour-blind readers can tell apart, and letters dark enough to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contagion.diagram.style import CHANNELS, INK, MUTED

__all__ = ["ALARM", "BEFORE", "COLOURS", "GRID", "INK", "MUTED", "OTHERS", "assigned", "legible"]

COLOURS = tuple(CHANNELS[name].colour for name in ("collateral", "liquidation", "quote", "claim", "sale", "perp"))
"""Blue, vermilion, green, purple, orange, sky blue of Okabe and Ito (2008), as in the diagrams."""

OTHERS = "#b8b8b8"
BEFORE = "#9a9a9a"
GRID = "#e4e4e4"
ALARM = "#a32200"

_CONTRAST = 4.5
"""Least contrast of letters and paper (WCAG 2.2, level AA)."""


def assigned(names: Iterable[str], taken: Mapping[str, str]) -> dict[str, str]:
    """Return a colour for each name of a panel: the one it has elsewhere in the chart, or one still free in the panel.

    Examples
    --------
    >>> assigned(["b", "c"], {"a": "#0072b2", "b": "#d55e00"})
    {'b': '#d55e00', 'c': '#009e73'}
    """
    names = list(names)
    found = {name: taken[name] for name in names if name in taken}
    for name in names:
        if name in found:
            continue
        used = [*found.values()]
        fresh = [colour for colour in COLOURS if colour not in used and colour not in taken.values()]
        found[name] = (fresh or [colour for colour in COLOURS if colour not in used] or [MUTED])[0]
    return {name: found[name] for name in names}


def legible(colour: str) -> str:
    """Return a colour for letters on white paper: the colour itself, or as much darker as reading needs.

    Examples
    --------
    >>> legible("#0072b2"), legible("#e69f00")
    ('#0072b2', '#9c6c00')
    """
    red, green, blue = (int(colour[at : at + 2], 16) / 255.0 for at in (1, 3, 5))
    shade = 1.0
    while _contrast(shade * red, shade * green, shade * blue) < _CONTRAST:
        shade -= 0.01
    return "#" + "".join(f"{round(255.0 * shade * part):02x}" for part in (red, green, blue))


def _contrast(red: float, green: float, blue: float) -> float:
    """Return the contrast of a colour (sRGB, 0-1) with white."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)
