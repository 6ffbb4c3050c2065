"""The classic models against the algorithms that other packages use, on 5,000 banks with ten debts each.

neva loops over banks and their exposures; the textbook clears with dense matrices; NetworkRiskMeasures multiplies all
scenarios at once. Ratios are asserted where they are meant to be large.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from contagion import clearing

Floats = NDArray[np.float64]


class Banks(NamedTuple):
    debts: Any
    assets: Floats
    external: Floats
    equity: Floats


@cache
def banks(count: int = 5_000, degree: int = 10) -> Banks:
    source = np.random.default_rng(0)
    debtor, creditor = source.integers(0, count, (2, count * degree))
    kept = debtor != creditor
    amounts = source.lognormal(0.0, 1.0, kept.sum())
    debts = sp.csr_array(sp.coo_array((amounts, (debtor[kept], creditor[kept])), shape=(count, count)))
    owed, claims = debts.sum(axis=1), debts.sum(axis=0)
    assets = source.lognormal(2.0, 1.0, count)
    external = 0.95 * np.maximum(claims + assets - owed, 0.0)
    assets = np.maximum(assets, 1.05 * (owed + external) - claims) * (1.15 - source.uniform(0.0, 0.3, count))
    return Banks(debts, assets, external, (claims + 1.0) * source.uniform(0.7, 2.5, count))


def seconds(run: Callable[[], object], times: int = 1) -> float:
    found: list[float] = []
    for _ in range(times):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def exposures(given: Banks) -> list[list[tuple[int, float]]]:
    rows = given.debts.T.tocsr()
    cells = list(zip(rows.indices.tolist(), rows.data.tolist(), strict=True))
    return [cells[start:end] for start, end in zip(rows.indptr[:-1], rows.indptr[1:], strict=True)]


def bank_by_bank(given: Banks, worth: Callable[[int, float], float], own: Floats, tol: float = 1e-9) -> None:
    """Iterate equity over lists of exposures, as neva does, but without its objects, which cost another factor of 3."""
    held = exposures(given)
    equity = [own[bank] + sum(amount for _, amount in held[bank]) for bank in range(own.size)]
    moved = np.inf
    while moved > tol:
        value = [worth(bank, one) for bank, one in enumerate(equity)]
        after = [own[bank] + sum(amount * value[debtor] for debtor, amount in row) for bank, row in enumerate(held)]
        moved = max(abs(new - old) for new, old in zip(after, equity, strict=True))
        equity = after


def dense_defaults(given: Banks) -> None:
    debts = given.debts.toarray()
    owed = debts.sum(axis=1) + given.external
    shares = debts / owed[:, None]
    paid, down = owed, np.zeros(owed.size, dtype=bool)
    while (new := given.assets + shares.T @ paid < owed * (1 - 1e-12)).sum() > down.sum():
        down = down | new
        system = np.eye(down.sum()) - shares[np.ix_(down, down)].T
        right = given.assets[down] + shares[:, down].T @ np.where(down, 0.0, owed)
        paid = owed.copy()
        paid[down] = np.linalg.solve(system, right)


def test_eisenberg_noe_is_much_faster_than_loops_and_dense_matrices() -> None:
    given = banks()
    ours = seconds(lambda: clearing.eisenberg_noe(*given[:3]), 5)
    owed: list[float] = given.debts.sum(axis=1).tolist()

    def worth(bank: int, equity: float) -> float:
        return 1.0 if equity > 0 or not owed[bank] else max(0.0, (equity + owed[bank]) / owed[bank])

    assert seconds(lambda: bank_by_bank(given, worth, given.assets - given.external - owed)) > 10 * ours
    assert seconds(lambda: dense_defaults(given)) > 30 * ours


def test_debtrank_is_thirty_times_faster_than_loops() -> None:
    given = banks()
    shock = 0.2 * np.random.default_rng(1).random(given.equity.size)
    ours = seconds(lambda: clearing.debtrank(given.debts, given.equity, shock), 5)
    own = given.equity * (1 - shock) - given.debts.sum(axis=0)

    start: list[float] = given.equity.tolist()

    def worth(bank: int, equity: float) -> float:
        return min(1.0, max(0.0, equity / start[bank]))

    assert seconds(lambda: bank_by_bank(given, worth, own)) > 30 * ours


@pytest.mark.parametrize("model", ["eisenberg_noe", "rogers_veraart", "debtrank", "debtrank_all"])
def test_five_thousand_banks(benchmark: BenchmarkFixture, model: str) -> None:
    given = banks()
    calls: dict[str, Callable[[], object]] = {
        "eisenberg_noe": lambda: clearing.eisenberg_noe(*given[:3]),
        "rogers_veraart": lambda: clearing.rogers_veraart(given.debts, given.assets, 0.8, 0.8, given.external),
        "debtrank": lambda: clearing.debtrank(given.debts, given.equity, 0.1),
        "debtrank_all": lambda: clearing.debtrank_all(given.debts, given.equity),
    }
    benchmark.pedantic(calls[model], rounds=1 if model == "debtrank_all" else 5)


def test_half_a_million_banks(benchmark: BenchmarkFixture) -> None:
    given = banks(500_000)
    result = benchmark.pedantic(lambda: clearing.eisenberg_noe(*given[:3]), rounds=1)
    assert result.residual < 1e-13
