"""A short word for a sweep: the same system, scenarios and measures give the same, others another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from contagion.arrays import Labels
from contagion.kernels import Inputs
from contagion.kernels.inputs import Ints
from contagion.stress.runs import MAX_ROUNDS, TOL
from contagion.sweep.scenarios import Plan

__all__ = ["Read", "fingerprint"]

Read = tuple[Inputs, Labels, tuple[Ints, ...]]
"""Arrays and names of a system, and the accounts of each group that is measured."""


def fingerprint(systems: Iterable[Read], plan: Plan, measures: tuple[str, ...]) -> str:
    """Return the word for a plan on a system, read once for each set of overrides.

    Rows of tables may stand in any order, for arrays are in canonical order.
    """
    seen = hashlib.sha256(f"{version('contagion')} {TOL} {MAX_ROUNDS} {measures}".encode())
    for inputs, labels, members in systems:
        _feed(seen, (inputs, labels.nodes, labels.assets, labels.markets, labels.columns, members))
    seen.update(f"{len(plan)} {plan.line}".encode())
    for number in range(len(plan)):
        scenario = plan.scenario(number)
        seen.update(repr((number, plan.name(number), scenario)).encode())
    return seen.hexdigest()


def _feed(seen: Any, given: object) -> None:
    """Feed arrays, sparse matrices, indexes, tables and tuples of them to a hash."""
    if isinstance(given, np.ndarray):
        seen.update(f"{given.dtype} {given.shape}".encode())
        seen.update(repr(given.tolist()).encode() if given.dtype == object else np.ascontiguousarray(given).data)
    elif isinstance(given, tuple):
        for each in given:
            _feed(seen, each)
    elif isinstance(given, pd.Index):
        seen.update(repr(given.tolist()).encode())
    elif isinstance(given, pd.DataFrame):
        for name in given.columns:
            seen.update(str(name).encode())
            _feed(seen, given[name].to_numpy())
    else:  # a sparse matrix
        matrix: Any = given
        _feed(seen, (matrix.indptr, matrix.indices, matrix.data))
