"""What deleveraging in rounds does to banks and prices."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from contagion.clearing.results import Column
from contagion.frozen import HandsOutCopies

__all__ = ["Deleveraging"]


@dataclass(frozen=True)
class Deleveraging(HandsOutCopies):
    """What deleveraging does to banks and prices, round by round.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns equity_before, first_loss (of the shock), fire_sale_loss, equity (what is left; negative
        where losses exceed it), sold (at the prices before each sale; all USD), leverage (assets over equity in the
        end; infinite without equity), insolvent, exhausted (above the limit with nothing left to sell).
    assets : DataFrame
        Index asset; columns depth, sold (USD), price (before the shock: 1), price_drop (by sales, share of the price
        after the shock).
    losses : DataFrame
        Index node, one column a round from 1: losses by sales, USD.
    deleveraging : DataFrame
        Likewise: share of its marketable assets that each node sells, 0 to 1.
    converged : bool
        Whether nobody has to sell any more.
    rounds : int
        Rounds with sales.
    residual : float
        What would be sold next, as a share of all marketable assets at first.
    """

    frame: pd.DataFrame
    assets: pd.DataFrame
    losses: pd.DataFrame
    deleveraging: pd.DataFrame
    converged: bool
    rounds: int
    residual: float

    fire_sale_loss = Column("Losses by sales, own and others', USD by node.")
    equity = Column("Equity in the end, USD by node.")
    sold = Column("Sales at the prices before them, USD by node.")
    price = Column("Prices in the end, by asset; 1 before the shock.", "assets")
