"""From sums over accounts to the totals of a solution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion.kernels.credit import borne
from contagion.kernels.inputs import Floats, Nodes

__all__ = ["Sums", "totals"]


class Sums(NamedTuple):
    """What all accounts have lost, in USD."""

    account_loss: float  # of accounts that no node owns
    gains: float
    hidden: float
    hidden_bad_debt: float
    funded: float
    deficits: Floats  # (n,) of the accounts that it holds
    liquidated: Floats  # (n,) at opening prices
    owned: Floats  # (n,) lost by the accounts that it owns
    equity: Floats  # (g,) lost by groups of accounts that are measured


def totals(nodes: Nodes, haircut: Floats, outside: Floats, sums: Sums) -> dict[str, float]:
    """Return the totals of a solution (`contagion.Solution.totals`), in USD.

    ``outside`` (n,) are liabilities that nobody inside holds.
    """
    loss = borne(nodes, sums.deficits, sums.owned, haircut)[1]
    beyond = np.maximum(0.0, loss - nodes.buffer - nodes.liabilities)
    buffer_loss = float(np.minimum(loss, nodes.buffer).sum())
    outside_loss = float((haircut * outside + beyond).sum())
    return {
        "loss": sums.account_loss + buffer_loss + outside_loss,
        "account_loss": sums.account_loss,
        "buffer_loss": buffer_loss,
        "outside_loss": outside_loss,
        "gains": sums.gains,
        "hidden": sums.hidden,
        "hidden_bad_debt": sums.hidden_bad_debt,
        "liquidated": float(sums.liquidated.sum()),
        "deficit": float(sums.deficits.sum()),
        "funded": sums.funded,
    }
