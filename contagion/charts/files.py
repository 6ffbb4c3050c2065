"""Charts as files that appear whole or not at all, with the same bytes for the same chart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from contagion.diagram import FORMATS
from contagion.errors import InputError
from contagion.io import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save"]


def save(figure: Figure, path: str | Path) -> list[Path]:
    """Return the files written: SVG and PNG, or the one format that the name asks for.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        From one of the functions beside this one.
    path : str or Path
        File name without ending; with the ending .svg, .png or .pdf, only that one is written. Its folder is made if
        it is not there.

    Raises
    ------
    InputError
        If it is no figure.

    Notes
    -----
    Files hold neither a date nor a version, so that equal charts are equal files under one version of matplotlib.
    Letters are outlines, which look alike everywhere.
    """
    if not hasattr(figure, "savefig"):
        raise InputError(f"save: {type(figure).__name__} is no figure; give what a chart function returns")
    from contagion.charts.figure import painted

    path = Path(path)
    ending = path.suffix.removeprefix(".").lower()
    targets = {ending: path} if ending in FORMATS else {kind: Path(f"{path}.{kind}") for kind in ("svg", "png")}
    path.parent.mkdir(parents=True, exist_ok=True)
    for kind, target in targets.items():
        write_atomically(target, painted(figure, kind))
    return list(targets.values())
