"""What a clearing vector says of each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contagion.clearing.network import Floats
from contagion.clearing.obligations import Obligations, Paid
from contagion.clearing.results import Column
from contagion.frozen import HandsOutCopies

__all__ = ["EXACT", "Clearing", "by_node", "pari_passu"]

EXACT = 1e-9
"""Largest residual of a result that calls itself converged; what is usually left is rounding, 1e-15."""


@dataclass(frozen=True)
class Clearing(HandsOutCopies):
    """A clearing vector: who pays what.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns owed, payments, external_payments, received, equity (USD; equity is zero in default),
        recovery_rate (share of the debts in the network that is paid; 1 without debts), defaulted, default_round (wave
        of defaults from 1; 0 for those that pay in full).
    converged : bool
    rounds : int
        Sets of defaults that were solved.
    residual : float
        Largest gap of p = Φ(p), as a share of what the node owes.
    regular, unique : bool
        Whether every risk orbit is a surplus set (Eisenberg and Noe 2001, theorem 2), which makes the clearing vector
        the only one; and whether it is the only one, regular or not. Without costs of default; with costs, a clearing
        vector is hardly ever the only one, and both are False.
    """

    frame: pd.DataFrame
    converged: bool
    rounds: int
    residual: float
    regular: bool = False
    unique: bool = False

    payments = Column("Payments on all debts, USD by node.")
    recovery_rate = Column("Share of its debts in the network that each node pays.")
    equity = Column("Equity after clearing, USD by node; zero in default.")
    defaulted = Column("Nodes that do not pay in full.")
    default_round = Column("Wave of defaults, from 1; 0 for nodes that pay in full.")


def pari_passu(given: Obligations, paid: Paid, outside: Floats) -> dict[str, Floats]:
    """Return the columns of the frame if all creditors rank equally."""
    owes = given.owed > 0.0
    rate = np.divide(paid.payments, given.owed, out=np.ones_like(given.owed), where=owes)
    received = given.shares @ paid.payments
    defaulted = paid.default_round > 0
    return {
        "owed": given.owed,
        "payments": paid.payments,
        "external_payments": rate * outside,
        "received": received,
        "equity": np.where(defaulted, 0.0, np.maximum(given.assets + received - given.owed, 0.0)),
        "recovery_rate": rate,
        "default_round": paid.default_round,
    }


def by_node(columns: dict[str, Floats], labels: pd.Index[Any]) -> pd.DataFrame:
    """Return the columns as a frame by node, with a column of defaults before the last, their rounds."""
    rounds = columns["default_round"]
    before = {name: values for name, values in columns.items() if name != "default_round"}
    return pd.DataFrame({**before, "defaulted": rounds > 0, "default_round": rounds}, index=labels.rename("node"))
