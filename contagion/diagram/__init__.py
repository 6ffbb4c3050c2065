"""Diagrams: what a system has at stake, and who was hit, when and through which channel.

A picture is made in steps: `exposures` or `cascade` name every box and edge, `fold` leaves as many as a page holds,
`columns` put them in order, `layout` and `routes` place them, `dot` writes it all down, and `render` paints it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contagion.diagram.cascade import cascade
from contagion.diagram.columns import by_round, split
from contagion.diagram.dot import to_dot
from contagion.diagram.exposures import exposures
from contagion.diagram.fold import fold
from contagion.diagram.paths import draw_paths
from contagion.diagram.render import FORMATS, fonts, render, renderer
from contagion.errors import InputError
from contagion.solution import Solution
from contagion.system import System

if TYPE_CHECKING:
    import graphviz

__all__ = ["FORMATS", "draw", "draw_paths", "fonts", "render", "renderer"]


def draw(subject: System | Solution, most: int = 40) -> graphviz.Digraph:
    """Return the diagram of a system (who has what at stake with whom) or of a solution (who was hit, when and how).

    Parameters
    ----------
    subject : System or Solution
        What to draw.
    most : int
        Boxes that a page holds. If there are more nodes, markets and accounts, accounts are drawn by group and
        platform, markets of one asset that fell alike together, and small boxes as "other …"; counts and money add up.

    Returns
    -------
    graphviz.Digraph
        ``.source`` is DOT text, the same for the same tables whatever the order of their rows. Every arrow runs from
        a cause to whom it hurts. In a system: market → account (collateral, perps), account → platform (debt), debtor →
        creditor (claims), market → platform (oracle) …; in a solution: what the fall of a market took from accounts,
        what accounts sold where, quotes that they withdrew, cash that calls drew from other accounts, bad debt,
        haircuts on claims. Columns of a solution run from the shock over the rounds in which accounts and markets were
        first hit (a tenth of their sales or fall had come) to the balance sheets that bear the rest.

    Raises
    ------
    InputError
        If the subject is neither, or the system is not valid.

    Examples
    --------
    >>> from contagion import generate
    >>> system, fall = generate.system(accounts=100, assets=5)
    >>> picture = draw(system)
    >>> picture.source.splitlines()[0], "CeFi" in picture.source
    ('digraph contagion {', True)
    """
    if isinstance(subject, Solution):
        return to_dot(split(by_round(fold(cascade(subject, most), most))))
    if isinstance(subject, System):
        return to_dot(split(fold(exposures(subject, most), most)))
    raise InputError(f"draw: {type(subject).__name__} cannot be drawn; give a System or a Solution")
