"""Who owes what as shares, and the clearing vectors of rules that pay all that a defaulter has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from contagion.clearing.linear import bounded
from contagion.clearing.network import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["TIE", "Obligations", "Paid", "gap", "greatest", "least", "obligations", "reaching", "value"]

TIE = 1e-13
"""Share of its obligations that a node may miss by rounding and still pays in full."""


class Obligations(NamedTuple):
    """Shares (creditor × debtor) of each debtor's payments, what each node owes, and what it has to pay with.

    ``kept`` are the shares of its own assets and of its claims that a node keeps when it defaults (1: no costs).
    """

    shares: csr_array
    owed: Floats
    assets: Floats
    kept_assets: Floats | float = 1.0
    kept_claims: Floats | float = 1.0


class Paid(NamedTuple):
    """A clearing vector, and the rounds from 1 in which nodes entered the set of defaults, and left it; 0 for never."""

    payments: Floats
    default_round: NDArray[np.int64]
    solvent_round: NDArray[np.int64]
    rounds: int


def obligations(liabilities: csr_array, external: Floats | float = 0.0) -> tuple[csr_array, Floats]:
    """Return the shares of each debtor's payments that each creditor gets, creditor × debtor, and what each owes.

    Parameters
    ----------
    liabilities : (n, n) CSR
        What row owes column.
    external : (n,) float or 0
        Debts outside the network that are paid pari passu.
    """
    from scipy.sparse import csr_array

    owed = np.asarray(liabilities.sum(axis=1), dtype=np.float64).reshape(-1) + external
    columns = liabilities.tocsc()
    data = columns.data / owed[columns.indices]
    return csr_array((data, columns.indices, columns.indptr), shape=liabilities.shape), owed


def value(given: Obligations, payments: Floats) -> Floats:
    """Return what each node has to pay with, before costs of default: assets plus what its debtors pay it."""
    received: Floats = given.assets + given.shares @ payments
    return received


def short(given: Obligations, payments: Floats) -> NDArray[np.bool_]:
    """Return the nodes that cannot pay in full."""
    return given.owed - value(given, payments) > TIE * given.owed


def gap(given: Obligations, payments: Floats) -> float:
    """Return how far payments are from clearing: the largest gap of p = Φ(p), as a share of what the node owes."""
    received = given.shares @ payments
    rest = np.maximum(given.kept_assets * given.assets + given.kept_claims * received, 0.0)
    due = np.where(short(given, payments), np.minimum(rest, given.owed), given.owed)
    owes = given.owed > 0.0
    return float(np.max(np.abs(payments - due)[owes] / given.owed[owes], initial=0.0))


def greatest(given: Obligations) -> Paid:
    """Return the greatest clearing vector by the fictitious default algorithm.

    All pay in full; who then cannot is in default; payments are solved with this set of defaults; who then cannot is
    added to it; and so on until nobody is. Exact after as many rounds as there are waves of defaults (Eisenberg and
    Noe 2001, section 3.1; with costs of default: Rogers and Veraart 2013, section 3).
    """
    payments = given.owed.copy()
    default_round = np.zeros(payments.size, dtype=np.int64)
    for rounds in range(1, payments.size + 2):
        new = short(given, payments) & (default_round == 0)
        if not new.any():
            break
        default_round[new] = rounds
        payments = _cleared(given, default_round > 0, payments)
    return Paid(payments, default_round, np.zeros_like(default_round), int(default_round.max(initial=0)))


def _cleared(given: Obligations, defaulted: NDArray[np.bool_], before: Floats) -> Floats:
    """Return payments if those in default pay what is left to them and all others pay in full, after a guess."""
    payments = np.where(defaulted, 0.0, given.owed)
    matrix, right = _within(given, defaulted, payments)
    payments[defaulted] = np.clip(bounded(matrix, right, before[defaulted]), 0.0, given.owed[defaulted])
    return payments


def _within(given: Obligations, inside: NDArray[np.bool_], others: Floats) -> tuple[csr_array, Floats]:
    """Return A and b of p = b + A p inside, after costs of default, with the others' payments known."""
    from scipy.sparse import diags_array

    kept_assets = np.broadcast_to(given.kept_assets, inside.size)[inside]
    kept_claims = np.broadcast_to(given.kept_claims, inside.size)[inside]
    rows = given.shares if inside.all() else given.shares[inside]
    right = kept_assets * given.assets[inside] + kept_claims * (rows @ others)
    matrix = rows if inside.all() else rows[:, inside]
    if (kept_claims != 1.0).any():
        matrix = (diags_array(kept_claims) @ matrix).tocsr()
    return matrix, right


def least(given: Obligations) -> Paid:
    """Return the least clearing vector, for assets that are not negative.

    All are in default; payments are the least that clear; who could then pay in full leaves the set of defaults; and
    so on until nobody does. ``default_round`` is 1 for those that remain in default.
    """
    solvent_round = np.where(given.owed == 0.0, 1, 0)
    payments = np.zeros(solvent_round.size)
    rounds = 0
    for rounds in range(1, payments.size + 2):
        inside = solvent_round == 0
        payments = np.where(inside, 0.0, given.owed)
        matrix, right = _within(given, inside, payments)
        payments[inside] = _least_bounded(matrix, right, given.owed[inside])
        new = inside & ~short(given, payments)
        if not new.any():
            break
        solvent_round[new] = rounds
    return Paid(payments, (solvent_round == 0).astype(np.int64), solvent_round, rounds)


def _least_bounded(matrix: csr_array, right: Floats, cap: Floats) -> Floats:
    """Return the least p of p = min(cap, b + A p) for b ≥ 0: nothing where no money arrives, else the only one.

    A closed group of nodes that money enters has one clearing vector (Eisenberg and Noe 2001, theorem 2).
    """
    reached = reaching(matrix, right > 0.0)
    payments = np.zeros(right.size)
    if reached.any():
        own = Obligations(matrix[reached][:, reached], cap[reached], right[reached])
        payments[reached] = greatest(own).payments
    return payments


def reaching(steps: csr_array, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the nodes from which steps (row → column) lead to any of those that are there already."""
    reached = front = there
    while front.any():
        front = (steps @ front.astype(np.float64) > 0.0) & ~reached
        reached = reached | front
    return reached
