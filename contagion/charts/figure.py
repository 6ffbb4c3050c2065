"""The figure that charts come as; of all modules only this one loads matplotlib as it is imported."""

from __future__ import annotations

from contextlib import AbstractContextManager
from io import BytesIO

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["Chart", "painted", "settings"]

_DPI = 150.0

_SETTINGS = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
    "font.size": 9.0,
    "text.parse_math": False,  # a dollar sign is a dollar sign
    "svg.fonttype": "path",  # outlines keep the widths by which labels were placed, and need no font to be read
    "svg.hashsalt": "contagion",
    "axes.unicode_minus": True,
}

_UNDATED: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What a file would say about when it was written, and by which version of what."""


class Chart(Figure):
    """A matplotlib figure that knows nothing of pyplot, and that notebooks show nevertheless."""

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self)

    def _repr_svg_(self) -> str:
        """Return the picture for a notebook."""
        return painted(self, "svg").decode()


def settings() -> AbstractContextManager[None]:
    """Return a context with the settings of all charts, whatever the caller's are; it leaves those as they were."""
    return style.context(["default", _SETTINGS])  # type: ignore[list-item, no-any-return, unused-ignore]


def painted(figure: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of an SVG, PNG or PDF file, the same for the same figure."""
    content = BytesIO()
    title = {"Title": str(figure.get_label())} if figure.get_label() else {}
    with settings():
        figure.savefig(content, format=kind, dpi=_DPI, metadata=_UNDATED[kind] | title)
    return content.getvalue()
