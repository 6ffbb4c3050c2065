"""Default cascades against plain loops, brute force over sets of defaults, and NEVA's reading of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from contagion.clearing.cascade import furfine, threshold_cascade
from contagion.clearing.rogers_veraart import rogers_veraart
from contagion.errors import InputError
from tests.clearing_systems import SEEDS, draw


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("recovery", [0.0, 0.4, 1.0])
def test_furfine_is_the_smallest_set_of_defaults_that_makes_itself_true(seed: int, recovery: float) -> None:
    book = draw(seed)
    owed = book.liabilities.sum(axis=1) + book.external
    agreeing = []
    for chosen in product([False, True], repeat=owed.size):
        down = np.array(chosen)
        claims = book.liabilities.T @ np.where(down, recovery, 1.0)
        if ((book.assets + claims - owed < -1e-9) == down).all():
            agreeing.append(down)
    smallest = np.logical_and.reduce(agreeing)
    result = furfine(*book, recovery)
    assert result.defaulted.tolist() == smallest.tolist()
    assert result.converged
    claims = book.liabilities.T @ np.where(smallest, recovery, 1.0)
    assert result.equity.to_numpy() == pytest.approx(book.assets + claims - owed, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_furfine_waves_by_plain_loops(seed: int) -> None:
    book = draw(seed)
    rates = np.random.default_rng(seed).random(book.assets.size)
    rounds = [0] * book.assets.size
    for wave in range(1, book.assets.size + 1):
        standing = list(rounds)
        for bank in range(book.assets.size):
            equity = book.assets[bank] - book.external[bank] - sum(book.liabilities[bank])
            for debtor, failed in enumerate(standing):
                equity += book.liabilities[debtor, bank] * (rates[debtor] if failed else 1.0)
            if equity < -1e-12 and not rounds[bank]:
                rounds[bank] = wave
    assert furfine(*book, rates).default_round.tolist() == rounds


@pytest.mark.parametrize("seed", SEEDS)
def test_furfine_without_recovery_is_rogers_veraart_at_zero(seed: int) -> None:
    """FinNetValu, test/models/test_neva.jl, "same model II"."""
    book = draw(seed)
    costly = rogers_veraart(book.liabilities, book.assets, 0.0, 0.0, book.external)
    assert furfine(*book, 0.0).defaulted.tolist() == costly.defaulted.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_threshold_cascade_by_plain_loops(seed: int) -> None:
    book = draw(seed)
    source = np.random.default_rng(seed)
    shock = (source.random(book.assets.size) < 0.3) * 1.0
    failed, before = shock >= 1.0, None
    while before is None or (before != failed).any():
        before = failed
        loss = shock * book.assets + 0.7 * book.liabilities.T @ failed
        failed = failed | ((loss >= book.assets - 1e-12) & (loss > 0))
    result = threshold_cascade(book.liabilities, book.assets, shock, 0.3)
    assert result.defaulted.tolist() == failed.tolist()
    assert result.loss.to_numpy() == pytest.approx(loss)
    assert (result.frame["capped_loss"] == np.minimum(result.loss, book.assets)).all()


def test_a_bank_without_equity_stands_until_it_loses_something() -> None:
    chain = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert threshold_cascade(chain, [1, 0, 2], 0.0).default_round.tolist() == [0, 0, 0]
    assert threshold_cascade(chain, [1, 0, 2], [1, 0, 0]).default_round.tolist() == [1, 2, 0]
    assert threshold_cascade(chain, [1, 0, 2], [0, 1, 0]).default_round.tolist() == [0, 1, 0]


def test_bad_rates_are_refused() -> None:
    with pytest.raises(InputError, match="recovery_rate"):
        furfine([[0, 1], [0, 0]], 1.0, recovery_rate=1.2)
