"""What notebooks show of an object, filled in from above: who can draw a thing stands above the thing itself."""

from __future__ import annotations

from functools import singledispatch

__all__ = ["html", "svg"]


@singledispatch
def html(subject: object) -> str | None:  # noqa: ARG001 - the argument chooses the function
    """Return the HTML that a notebook shows for an object; None, which leaves its repr, for types without any.

    `contagion.notebook` registers what systems and solutions look like.
    """
    return None


@singledispatch
def svg(subject: object) -> str | None:  # noqa: ARG001 - the argument chooses the function
    """Return the picture alone, for documents made of a notebook that hold no HTML; None where there is none."""
    return None
