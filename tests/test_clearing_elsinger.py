"""Seniority and cross-holdings against plain loops, special cases, and balance sheets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contagion.clearing.eisenberg_noe import eisenberg_noe
from contagion.clearing.elsinger import elsinger
from contagion.clearing.suzuki import suzuki
from contagion.errors import InputError, NotConverged
from tests.clearing_systems import SEEDS, Floats, draw
from tests.seeds import some


def holdings(seed: int, count: int) -> Floats:
    source = np.random.default_rng(1_000 + seed)
    held = source.random((count, count)) * (source.random((count, count)) < 0.5) * (1 - np.eye(count))
    scale = source.uniform(0.1, 0.95, count) / np.maximum(held.sum(axis=1), 1e-9)
    shares: Floats = held * scale[:, None]
    return shares


def by_loops(classes: list[tuple[Floats, Floats]], owned: Floats, assets: Floats) -> tuple[Floats, Floats]:
    """Return payments by class and equity: plain iteration from above, one bank at a time."""
    count = assets.size
    owed = np.array([debts.sum(axis=1) + outside for debts, outside in classes])
    paid, equity = owed.copy(), np.full(count, 1e3)
    for _ in range(4_000):
        for bank in range(count):
            value = assets[bank] + sum(owned[issuer, bank] * equity[issuer] for issuer in range(count))
            for number, (debts, _) in enumerate(classes):
                value += sum(
                    debts[debtor, bank] / owed[number, debtor] * paid[number, debtor]
                    for debtor in range(count)
                    if owed[number, debtor] > 0
                )
            for number in range(len(classes)):
                paid[number, bank] = min(owed[number, bank], value)
                value -= paid[number, bank]
            equity[bank] = value
    return paid, equity


@pytest.mark.parametrize("seed", some(24))
def test_elsinger_agrees_with_plain_loops(seed: int) -> None:
    senior, junior = draw(seed, largest=5), draw(seed + 7_000, largest=5)
    count = min(senior.assets.size, junior.assets.size)
    classes = [(book.liabilities[:count, :count], book.external[:count]) for book in (senior, junior)]
    owned, assets = holdings(seed, count), senior.assets[:count]
    result = elsinger([debts for debts, _ in classes], owned, assets, [outside for _, outside in classes])
    paid, equity = by_loops(classes, owned, assets)
    assert pytest.approx(paid, abs=1e-6) == result.by_seniority.to_numpy().T
    assert result.equity.to_numpy() == pytest.approx(equity, abs=1e-6)
    assert result.residual < 1e-13


@pytest.mark.parametrize("seed", SEEDS)
def test_one_class_without_shares_is_eisenberg_noe(seed: int) -> None:
    book = draw(seed)
    result = elsinger([book.liabilities], np.zeros_like(book.liabilities), book.assets, [book.external])
    plain = eisenberg_noe(*book)
    assert result.payments.to_numpy() == pytest.approx(plain.payments.to_numpy(), abs=1e-9)
    assert result.equity.to_numpy() == pytest.approx(plain.equity.to_numpy(), abs=1e-9)
    assert result.defaulted.tolist() == plain.defaulted.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_debt_class_outside_alone_is_eisenberg_noe_with_senior_creditors(seed: int) -> None:
    book = draw(seed)
    nothing = np.zeros_like(book.liabilities)
    result = elsinger([nothing, book.liabilities], nothing, book.assets, [book.external, 0.0])
    senior = eisenberg_noe(*book, external="senior").frame
    assert result.payments.to_numpy() == pytest.approx(senior["payments"].to_numpy(), abs=1e-9)
    assert result.by_seniority[1].to_numpy() == pytest.approx(senior["external_payments"].to_numpy(), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_owners_and_creditors_outside_get_all_assets(seed: int) -> None:
    book = draw(seed)
    owned = holdings(seed, book.assets.size)
    result = elsinger([book.liabilities, book.liabilities.T], owned, book.assets, [book.external, 0.5])
    rates = result.by_seniority / np.maximum(
        np.array([book.liabilities.sum(1) + book.external, book.liabilities.sum(0) + 0.5]).T, 1e-300
    )
    outside = rates[1] * book.external + rates[2] * 0.5
    assert outside.sum() + result.frame["outside_equity"].sum() == pytest.approx(book.assets.sum(), rel=1e-10)
    assert (result.frame["value"] - result.payments - result.equity).abs().max() < 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_suzuki_is_elsinger_with_debts_as_shares(seed: int) -> None:
    book = draw(seed)
    owed = book.liabilities.sum(axis=1) + book.external
    held = book.liabilities / np.where(owed > 0, owed, 1.0)[:, None]
    owned = holdings(seed, book.assets.size)
    firms = suzuki(held, owned, book.assets, owed).frame
    banks = elsinger([book.liabilities], owned, book.assets, [book.external]).frame
    pd.testing.assert_frame_equal(firms, banks, atol=1e-9)


def test_elsinger_2009_shares_in_oneself_through_others() -> None:
    """Two firms that hold half of each other's equity and no debt: E = 1 + E/2, outside owners have all assets."""
    result = suzuki(np.zeros((2, 2)), [[0, 0.5], [0.5, 0]], 1.0, 0.0)
    assert result.equity.tolist() == pytest.approx([2.0, 2.0])
    assert result.frame["outside_equity"].sum() == pytest.approx(2.0)


def test_equity_that_nobody_outside_owns_is_refused() -> None:
    with pytest.raises(InputError, match="undetermined"):
        suzuki(np.zeros((2, 2)), [[0, 1.0], [1.0, 0]], 1.0, 0.0)
    with pytest.raises(InputError, match="more than one"):
        suzuki(np.zeros((3, 3)), [[0, 0.7, 0.7], [0, 0, 0], [0, 0, 0]], 1.0, 0.0)
    with pytest.raises(InputError, match="classes"):
        elsinger([], np.zeros((2, 2)), 1.0)


def test_too_few_rounds_are_not_hidden() -> None:
    book = draw(1)
    call = [book.liabilities], holdings(1, book.assets.size), book.assets / 3, [book.external]
    with pytest.raises(NotConverged) as caught:
        elsinger(*call, max_rounds=1)
    assert not caught.value.solution.converged
    assert not elsinger(*call, max_rounds=1, on_failure="return").converged
