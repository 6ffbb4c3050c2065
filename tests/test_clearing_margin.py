"""Margin payments against plain loops, and against clearing as a whole."""

from __future__ import annotations

import numpy as np
import pytest

from contagion.clearing.eisenberg_noe import eisenberg_noe
from contagion.clearing.variation_margin import variation_margin
from contagion.errors import InputError
from tests.clearing_systems import SEEDS, Book, draw, picard


@pytest.mark.parametrize("seed", SEEDS)
def test_full_payment_by_plain_loops(seed: int) -> None:
    book = draw(seed)
    owed = book.liabilities.sum(axis=1)
    rounds = [0] * owed.size
    for turn in range(1, owed.size + 1):
        paying = [bank for bank in range(owed.size) if rounds[bank]]
        for bank in range(owed.size):
            money = book.assets[bank] + sum(book.liabilities[other, bank] for other in paying)
            if not rounds[bank] and money >= owed[bank] - 1e-12:
                rounds[bank] = turn
    result = variation_margin(book.liabilities, book.assets)
    assert result.activation_round.tolist() == rounds
    assert result.payments.to_numpy() == pytest.approx(np.where(rounds, owed, 0.0))


@pytest.mark.parametrize("seed", SEEDS)
def test_proportional_payments_are_the_least_and_found_from_below(seed: int) -> None:
    book = draw(seed)
    inside = Book(book.liabilities, book.assets, np.zeros_like(book.external))
    result = variation_margin(book.liabilities, book.assets, rule="proportional")
    assert result.payments.to_numpy() == pytest.approx(picard(inside, from_below=True), abs=1e-7)
    cleared = eisenberg_noe(book.liabilities, book.assets)
    assert (result.payments <= cleared.payments + 1e-9).all()
    if cleared.unique:
        assert result.payments.to_numpy() == pytest.approx(cleared.payments.to_numpy(), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_liquidity_is_conserved_and_waiting_costs_liquidity(seed: int) -> None:
    book = draw(seed)
    full = variation_margin(book.liabilities, book.assets)
    part = variation_margin(book.liabilities, book.assets, rule="proportional")
    for result in (full, part):
        assert result.frame["liquidity"].sum() == pytest.approx(book.assets.sum(), abs=1e-9)
        short = result.frame["owed"] - result.frame["received"] - book.assets
        assert result.shortfall.to_numpy() == pytest.approx(np.maximum(short.to_numpy(), 0.0), abs=1e-9)
        assert ((result.activation_round > 0) == result.frame["paid_in_full"]).all()
    assert (full.payments <= part.payments + 1e-9).all()
    assert (full.shortfall >= part.shortfall - 1e-9).all()


def test_a_ring_of_calls_is_stuck_until_somebody_has_the_money() -> None:
    ring = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert variation_margin(ring, 0.0).payments.sum() == 0.0
    assert variation_margin(ring, 0.0, rule="proportional").payments.sum() == 0.0
    assert eisenberg_noe(ring, 0.0).payments.sum() == 3.0
    assert variation_margin(ring, [0, 1, 0]).activation_round.tolist() == [3, 1, 2]
    assert variation_margin(ring, [0, 0.9, 0]).payments.sum() == 0.0
    assert variation_margin(ring, [0, 0.9, 0], rule="proportional").payments.tolist() == pytest.approx([1, 1, 1])


def test_bad_rules_are_refused() -> None:
    with pytest.raises(InputError, match="full_payment"):
        variation_margin([[0, 1], [0, 0]], 1.0, rule="full")  # type: ignore[arg-type]
