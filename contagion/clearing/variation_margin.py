"""Margin calls that are met out of liquid buffers and of what others have paid so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from contagion.clearing.clearing_vector import EXACT
from contagion.clearing.network import Floats, Matrix, Vector, read
from contagion.clearing.obligations import TIE, Obligations, gap, least, obligations
from contagion.clearing.problems import choice
from contagion.clearing.results import Column, OnFailure, checked, failure_choice
from contagion.frozen import HandsOutCopies

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["Margins", "variation_margin"]


@dataclass(frozen=True)
class Margins(HandsOutCopies):
    """Who pays its margin calls, when, and what liquidity is missing.

    Parameters
    ----------
    frame : DataFrame
        Index node; columns owed, payments, received, shortfall (what a node lacks to pay in full: owed − buffer −
        received, at least zero), liquidity (buffer + received − payments; all USD), paid_in_full, activation_round
        (round in which a node comes to pay in full, from 1; 0 for those that never do).
    converged : bool
    rounds : int
    residual : float
        Largest gap of the equation of payments, as a share of what the node owes.
    """

    frame: pd.DataFrame
    converged: bool
    rounds: int
    residual: float

    payments = Column("Payments, USD by node.")
    shortfall = Column("Liquidity that is missing to pay in full, USD by node.")
    activation_round = Column("Round in which a node comes to pay in full, from 1; 0 for those that never do.")


def variation_margin(
    obligations: Any,
    liquid_buffer: Any,
    *,
    rule: Literal["full_payment", "proportional"] = "full_payment",
    on_failure: OnFailure = "raise",
) -> Margins:
    """Return margin payments that start from buffers alone: the least p = min(p̄, b + Πᵀp), or all or nothing.

    Nobody pays with money that has not come in. In rings of calls that no buffer starts, nobody pays at all, where
    clearing as a whole (`eisenberg_noe`) would settle them.

    Parameters
    ----------
    obligations : (n, n) array, sparse array, DataFrame or DiGraph
        ``obligations[i, j]`` is the margin that i has to pay to j, USD.
    liquid_buffer : (n,) array, Series, mapping or float
        What each node can pay with before it receives anything, USD, at least zero.
    rule : {"full_payment", "proportional"}
        full_payment: a node pays when it can meet all its calls, and nothing before (Bardoscia, Bianconi and Ferrara
        2019). proportional: it pays what it has to all in proportion (as Paddrik, Rajan and Young 2020, with all of a
        shortfall passed on).
    on_failure : {"raise", "return"}

    Returns
    -------
    Margins

    Raises
    ------
    InputError
        All that is wrong with the input.
    NotConverged
        If linear systems could not be solved well enough (proportional rule).

    Notes
    -----
    Bardoscia, Bianconi and Ferrara (2019), Multiplex network analysis of the UK over-the-counter derivatives market,
    International Journal of Finance and Economics 24. Paddrik, Rajan and Young (2020), Contagion in derivatives
    markets, Management Science 66.

    Examples
    --------
    >>> calls = [[0, 4, 0], [0, 0, 4], [0, 0, 0]]
    >>> variation_margin(calls, [4, 0, 0]).activation_round.tolist()
    [1, 2, 1]
    >>> variation_margin(calls, [2, 0, 0]).payments.tolist()
    [0.0, 0.0, 0.0]
    >>> variation_margin(calls, [2, 0, 0], rule="proportional").payments.tolist()
    [2.0, 2.0, 0.0]
    """
    problems = [*choice("rule", rule, ("full_payment", "proportional")), *failure_choice(on_failure)]
    vectors = {"liquid_buffer": Vector(liquid_buffer)}
    table = read("variation_margin", {"obligations": Matrix(obligations)}, vectors, problems)
    calls, buffer = table.matrices["obligations"], table.vectors["liquid_buffer"]
    found = _full(calls, buffer) if rule == "full_payment" else _proportional(calls, buffer)
    owed, payments, received, active, rounds, residual = found
    columns = {
        "owed": owed,
        "payments": payments,
        "received": received,
        "shortfall": np.where(active > 0, 0.0, np.maximum(owed - buffer - received, 0.0)),
        "liquidity": np.maximum(buffer + received - payments, 0.0),
        "paid_in_full": active > 0,
        "activation_round": active,
    }
    frame = pd.DataFrame(columns, index=table.labels["node"].rename("node"))
    result = Margins(frame, residual <= EXACT, rounds, residual)
    return checked(result, "variation_margin", on_failure, "its linear systems are too close to singular")


_Found = tuple[Floats, Floats, Floats, "NDArray[np.int64]", int, float]


def _full(calls: csr_array, buffer: Floats) -> _Found:
    """Return payments of all or nothing: who can pay in full does, until nobody else can."""
    owed = np.asarray(calls.sum(axis=1), dtype=np.float64).reshape(-1)
    received = np.zeros_like(owed)
    active, rounds = np.zeros(owed.size, dtype=np.int64), 0
    while (new := (buffer + received >= owed * (1.0 - TIE)) & (active == 0)).any():
        rounds += 1
        active[new] = rounds
        received = received + np.ones(np.count_nonzero(new)) @ calls[new]
    payments = np.where(active > 0, owed, 0.0)
    again = (active > 0).astype(np.float64) @ calls
    residual = float(np.max(np.abs(again - received), initial=0.0) / max(np.max(owed, initial=0.0), 1e-300))
    return owed, payments, received, active, rounds, residual


def _proportional(calls: csr_array, buffer: Floats) -> _Found:
    """Return the least payments if each node pays what it has."""
    shares, owed = obligations(calls)
    given = Obligations(shares, owed, buffer)
    paid = least(given)
    return owed, paid.payments, shares @ paid.payments, paid.solvent_round, paid.rounds, gap(given, paid.payments)
