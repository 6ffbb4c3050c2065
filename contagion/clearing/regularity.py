"""Is there only one clearing vector? Risk orbits and surplus sets (Eisenberg and Noe 2001, section 2.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from contagion.clearing.network import Floats
from contagion.clearing.obligations import Obligations, reaching

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

__all__ = ["regular", "unique"]

_NOTHING = 1e-13
"""Money entering a group, as a share of what goes round in it, that is rounding."""


def regular(liabilities: csr_array, assets: Floats, owed: Floats) -> bool:
    """Return whether the risk orbit of every node that owes anything is a surplus set.

    The orbit of a node is all that is reached along debts, itself included; nothing in it owes to nodes outside of it,
    so that it is a surplus set if it holds assets. Creditors outside of the network are nodes without assets. Where
    senior debts exceed assets the theorem says nothing, and no system is regular.
    """
    return bool((assets >= 0.0).all() and (reaching(liabilities, assets > 0.0) | (owed == 0.0)).all())


def unique(given: Obligations, external: Floats, payments: Floats) -> bool:
    """Return whether the greatest clearing vector is the only one.

    Two clearing vectors can differ only where payments go round in a closed group: one that owes nothing to others, and
    that no money enters, neither from assets nor from other debtors. This sharpens theorem 2 of Eisenberg and Noe
    (2001), which looks at assets only.
    """
    group, count = _groups(given.shares)
    rows = np.repeat(np.arange(group.size), np.diff(given.shares.indptr))
    entering = group[rows] != group[given.shares.indices]
    debtors = given.shares.indices[entering]

    def by_group(values: Floats, where: NDArray[Any] = group) -> Floats:
        return np.bincount(where, weights=values, minlength=count).astype(np.float64, copy=False)

    closed = by_group(external) == 0.0
    closed[group[debtors]] = False
    paid_in = by_group(given.shares.data[entering] * payments[debtors], group[rows[entering]])
    going_round = by_group(payments)
    scale = going_round + by_group(np.abs(given.assets))
    empty = np.abs(by_group(given.assets) + paid_in) <= _NOTHING * scale
    return not bool((closed & empty & (going_round > 0.0)).any())


def _groups(shares: csr_array) -> tuple[NDArray[Any], int]:
    """Return the group of each node, and how many there are: nodes that owe each other, directly or not."""
    from scipy.sparse.csgraph import connected_components

    count, group = connected_components(shares, connection="strong")
    return np.asarray(group), int(count)
