"""The classic models against the algorithms that other packages use, on 5,000 banks with ten debts each.

neva loops over banks and their exposures, each an object; the textbook clears with dense matrices; NetworkRiskMeasures
runs one default after the other, and scales by products of dense matrices. All of them are written anew here, in numpy,
which is faster than what they are written in, and run to the same precision. Ratios of times are asserted.
"""

import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from contagion import clearing, reconstruct

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


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def best(benchmark: BenchmarkFixture, run: Callable[[], object], rounds: int) -> float:
    """Time what is ours, once it has been compiled."""
    benchmark.pedantic(run, rounds=rounds, warmup_rounds=1)
    return float(benchmark.stats.stats.min)  # type: ignore[union-attr]


def note(text: str) -> None:
    """Write a ratio where ``-s`` shows it."""
    sys.stderr.write(f"\n{text}\n")


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


def test_eisenberg_noe_is_much_faster_than_loops_and_dense_matrices(benchmark: BenchmarkFixture) -> None:
    given = banks()
    ours = best(benchmark, lambda: clearing.eisenberg_noe(*given[:3]), 5)
    owed: list[float] = given.debts.sum(axis=1).tolist()

    def worth(bank: int, equity: float) -> float:
        return 1.0 if equity > 0 or not owed[bank] else max(0.0, (equity + owed[bank]) / owed[bank])

    loops = seconds(lambda: bank_by_bank(given, worth, given.assets - given.external - owed))
    dense = seconds(lambda: dense_defaults(given))
    note(f"Eisenberg–Noe: {loops / ours:.0f} times as fast as loops, {dense / ours:.0f} times as dense matrices")
    assert loops > 30 * ours
    assert dense > 30 * ours


def test_debtrank_is_thirty_times_faster_than_loops(benchmark: BenchmarkFixture) -> None:
    given = banks()
    shock = 0.2 * np.random.default_rng(1).random(given.equity.size)
    ours = best(benchmark, lambda: clearing.debtrank(given.debts, given.equity, shock), 5)
    own = given.equity * (1 - shock) - given.debts.sum(axis=0)

    start: list[float] = given.equity.tolist()

    def worth(bank: int, equity: float) -> float:
        return min(1.0, max(0.0, equity / start[bank]))

    loops = seconds(lambda: bank_by_bank(given, worth, own))
    note(f"linear DebtRank: {loops / ours:.0f} times as fast as loops")
    assert loops > 30 * ours


def one_default(given: Banks, impact: Any, first: int, tol: float) -> Floats:
    """Spread one default as `NetworkRiskMeasures::contagion` does, with its sums over what has been passed on."""
    stress = np.zeros(given.equity.size)
    stress[first] = 1.0
    passed, moved = np.zeros(stress.size), np.inf
    while moved > tol:
        left = np.minimum(stress, 1.0) - passed
        passed = passed + left
        after = stress + left @ impact
        moved = float(np.sqrt(((after - stress) ** 2).sum()))
        stress = after
    return np.minimum(stress, 1.0)


def test_all_defaults_are_much_faster_than_one_after_the_other(benchmark: BenchmarkFixture) -> None:
    """A hundredth of the defaults is run one by one."""
    given = banks()
    impact = given.debts.multiply(1.0 / given.equity).tocsr()
    ours = best(benchmark, lambda: clearing.debtrank_all(given.debts, given.equity), 3)
    chosen = range(0, given.equity.size, 100)
    theirs = 100 * seconds(lambda: [one_default(given, impact, first, 1e-9) for first in chosen])
    table = clearing.debtrank_all(given.debts, given.equity).frame
    found = [one_default(given, impact, first, 1e-9)[np.arange(given.equity.size) != first] for first in chosen]
    np.testing.assert_allclose(
        table["additional_defaults"].to_numpy()[list(chosen)], [(one >= 1.0 - 1e-9).sum() for one in found]
    )
    note(f"all defaults: {theirs / ours:.0f} times as fast as one by one")
    assert theirs > 30 * ours


def test_maximum_entropy_is_thirty_times_faster_than_products_of_dense_matrices(benchmark: BenchmarkFixture) -> None:
    """One round is timed, diag(r)·M·diag(c) as the package has it, and rounds to a misfit of 1e-12 are counted."""
    given = banks()
    owed, owned = np.asarray(given.debts.sum(axis=1)), np.asarray(given.debts.sum(axis=0))
    ours = best(benchmark, lambda: reconstruct.max_entropy(owned, owed), 3)
    rows, columns, rounds = np.ones(owed.size), np.ones(owed.size), 0
    while rounds == 0 or np.abs(rows * (columns.sum() - columns) - owed).max() > 1e-12 * owed.max():
        rows = owed / (columns.sum() - columns)
        columns, rounds = owned / (rows.sum() - rows), rounds + 1
    matrix = 1.0 - np.eye(owed.size)
    one = seconds(lambda: np.diag(rows) @ matrix @ np.diag(columns))
    note(f"maximum entropy: {rounds * one / ours:.0f} times as fast, {rounds} rounds of {one:.1f} s")
    assert rounds * one > 30 * ours


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
