"""Networks of claims, and how others clear them: sparse matrices in ten lines, neva if it is there.

All get the same debts and assets and are asked for the same shares paid (1 − haircut), to the same tolerance.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

import contagion as ct
from contagion.arrays import lower
from contagion.kernels import iterate, settle

Floats = NDArray[np.float64]

TOL = 1e-12

_SAME = 1e-10
"""Largest difference of shares paid that counts as one answer: tolerance over one less the rate of convergence."""


class Network(NamedTuple):
    """Debts among banks that owe nobody else, USD."""

    debts: Any  # (n, n) sparse, debtor by creditor
    assets: Floats  # (n,)


class Timing(NamedTuple):
    """One way to clear a network."""

    peer: str
    what: str
    seconds: float
    ratio: float  # to the bar
    difference: float  # largest, of shares paid, to the bar


def network(count: int, degree: int = 10, seed: int = 0) -> Network:
    """Return a random network of mean degree ``degree`` in which a third of the banks cannot pay in full."""
    source = np.random.default_rng(seed)
    debtor, creditor = source.integers(0, count, (2, count * degree))
    kept = debtor != creditor
    amounts = source.lognormal(0.0, 1.0, kept.sum())
    debts = sp.csr_array(sp.coo_array((amounts, (debtor[kept], creditor[kept])), shape=(count, count)))
    short = debts.sum(axis=1) * source.uniform(0.8, 1.4, count) - debts.sum(axis=0)
    return Network(debts, np.maximum(short, 0.0))


def bar(debts: Any, assets: Floats, tol: float = TOL) -> Floats:
    """Return the shares that are paid: Eisenberg and Noe (2001) in ten lines of scipy."""
    owed: Floats = debts.sum(axis=1)
    due = np.where(owed > 0.0, owed, 1.0)
    claims = debts.T.tocsr()
    paid: Floats = np.ones_like(owed)
    moved = np.inf
    while moved > tol:
        after = np.minimum(1.0, (assets + claims @ paid) / due)
        after[owed == 0.0] = 1.0
        moved, paid = np.abs(after - paid).max(), after
    return paid


def bar_from_tables(system: ct.System) -> Floats:
    """Return the same from the tables that the general solver reads: names to numbers first, in the plainest way."""
    nodes = system.nodes
    names, claims = nodes["node"], system.claims
    codes = pd.factorize(pd.concat([names, claims["debtor"], claims["creditor"]], ignore_index=True))[0]
    debtor, creditor = codes[len(names) :].reshape(2, -1)
    shape = (len(names), len(names))
    debts = sp.coo_array((claims["amount"].to_numpy(), (debtor, creditor)), shape=shape).tocsr()
    return bar(debts, nodes["external_assets"].to_numpy(dtype=np.float64))


def compared(given: Network, repeats: int = 3, neva: ModuleType | None = None) -> list[Timing]:
    """Return the bar, the general solver (its rounds; from tables to solution) and neva on one network.

    Rounds go from arrays to shares and everything that follows from them, as the bar does from matrices. From tables to
    solution there is a bar of its own, which reads the same tables without looking at them twice.
    """
    system = ct.System.from_liabilities(given.debts, given.assets)
    inputs, labels = lower(system, ct.Scenario())
    order = labels.nodes.get_indexer(pd.Index(system.nodes["node"]))

    def rounds() -> Floats:
        run = iterate(inputs, TOL, 100_000)
        settle(inputs, run.state)
        return (1.0 - run.state.haircut)[order]

    def whole() -> Floats:
        return 1.0 - ct.solve(system).nodes["haircut"].to_numpy(dtype=np.float64)

    ways: list[tuple[str, str, Callable[[], Floats]]] = [
        ("scipy, ten lines", "matrices to shares", lambda: bar(*given)),
        ("contagion", "arrays to solution", rounds),
        ("scipy, ten lines", "tables to shares", lambda: bar_from_tables(system)),
        ("contagion", "tables to solution, checked", whole),
    ]
    if neva is not None:
        ways.append(("neva", "its objects to shares", neva_clearing(neva, given)))
    return _in_turn(ways, repeats)


def _in_turn(ways: list[tuple[str, str, Callable[[], Floats]]], repeats: int) -> list[Timing]:
    """Return the least seconds of each way; they take turns, so that neighbours on the machine disturb all alike."""
    least = np.full(len(ways), np.inf)
    answers: list[Floats] = [np.zeros(0)] * len(ways)
    for _ in range(repeats):
        for number, (_, _, work) in enumerate(ways):
            begun = time.process_time()
            answers[number] = work()
            least[number] = min(least[number], time.process_time() - begun)
    bars = {what.split()[0]: least[number] for number, (peer, what, _) in enumerate(ways) if peer.startswith("scipy")}
    against = [bars.get(what.split()[0], bars["matrices"]) for _, what, _ in ways]
    return [
        Timing(peer, what, float(least[n]), float(least[n] / against[n]), float(np.abs(answers[n] - answers[0]).max()))
        for n, (peer, what, _) in enumerate(ways)
    ]


def same_answer(timings: list[Timing]) -> bool:
    """Return whether all ways came to the same shares."""
    return all(each.difference <= _SAME for each in timings)


def find_neva(path: str | None = None) -> ModuleType | None:
    """Return the neva package, from a folder that holds it or from where Python looks; None if it is not there."""
    if path is not None:
        sys.path.insert(0, str(Path(path).resolve()))
    try:
        return importlib.import_module("neva")
    except ImportError:
        return None
    finally:
        if path is not None:
            sys.path.pop(0)


def neva_clearing(neva: ModuleType, given: Network) -> Callable[[], Floats]:
    """Return a call that clears a network with neva (Barucca et al. 2020), whose banks are built beforehand.

    neva ends when the sum of relative moves of equity over banks is below its tolerance; it gets `TOL` a bank.
    """
    count = given.assets.size
    owed: list[float] = given.debts.sum(axis=1).tolist()
    value = importlib.import_module("neva.ibeval").eisenberg_noe
    banks = [neva.Bank(extasset=float(given.assets[i]), ibliabtot=owed[i], name=str(i)) for i in range(count)]
    for bank in banks:
        if bank.ibliabtot > 0.0:  # a bank without debts has nobody to value it, and would divide by them
            bank.ibeval = lambda equity, total=bank.ibliabtot: value(equity, total)
    rows = given.debts.T.tocsr()
    for i, bank in enumerate(banks):
        cells = slice(rows.indptr[i], rows.indptr[i + 1])
        held = zip(rows.indices[cells].tolist(), rows.data[cells].tolist(), strict=True)
        bank.set_ibasset([(banks[j], amount) for j, amount in held])
    system = neva.BankingSystem(banks, tol=TOL * count, maxiter=100_000)
    opening = system.get_naiveequity()

    def clear() -> Floats:
        system.set_equity(opening)
        system.fixedpoint_equity()
        equity, due = np.array(system.get_equity()), np.array(owed)
        paid = np.clip((equity + due) / np.where(due > 0.0, due, 1.0), 0.0, 1.0)
        return np.where((due > 0.0) & (equity < 0.0), paid, 1.0)

    return clear
