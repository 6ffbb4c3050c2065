"""NEVA: each valuation is the model that it is named after, probabilities against quadrature, slopes against steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad

from contagion.clearing import valuations
from contagion.clearing.cascade import furfine
from contagion.clearing.debtrank import debtrank
from contagion.clearing.eisenberg_noe import eisenberg_noe
from contagion.clearing.network_valuation import jacobian, network_valuation
from contagion.clearing.rogers_veraart import rogers_veraart
from contagion.clearing.valuations import Book, Valuation
from contagion.errors import InputError, NotConverged
from tests.clearing_systems import SEEDS, Floats, draw
from tests.seeds import some


@pytest.mark.parametrize("seed", SEEDS)
def test_eisenberg_noe(seed: int) -> None:
    """FinNetValu, test/models/test_neva.jl, "same model I"."""
    book = draw(seed)
    for external in ("pari_passu", "senior"):
        ranking: Any = external
        valued = network_valuation(*book, valuations.eisenberg_noe(ranking), tol=1e-15)
        cleared = eisenberg_noe(*book, external=ranking)
        owes = book.liabilities.sum(axis=1) > 0
        assert valued.debt_value[owes].to_numpy() == pytest.approx(cleared.recovery_rate[owes].to_numpy(), abs=1e-8)
        assert valued.equity.clip(lower=0).to_numpy() == pytest.approx(cleared.equity.to_numpy(), abs=1e-7)
        if external == "pari_passu":
            assert valued.defaulted.tolist() == cleared.defaulted.tolist()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.7), (0.9, 0.4), (1.0, 1.0)])
def test_rogers_veraart(seed: int, alpha: float, beta: float) -> None:
    book = draw(seed)
    valued = network_valuation(*book, valuations.rogers_veraart(alpha, beta), tol=1e-15)
    cleared = rogers_veraart(book.liabilities, book.assets, alpha, beta, book.external)
    assert valued.debt_value.to_numpy() == pytest.approx(cleared.recovery_rate.to_numpy(), abs=1e-8)
    assert valued.equity.clip(lower=0).to_numpy() == pytest.approx(cleared.equity.to_numpy(), abs=1e-7)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("recovery", [0.0, 0.6])
def test_furfine(seed: int, recovery: float) -> None:
    book = draw(seed)
    valued = network_valuation(*book, valuations.furfine(recovery))
    assert valued.equity.to_numpy() == pytest.approx(furfine(*book, recovery).equity.to_numpy(), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_linear_debtrank(seed: int) -> None:
    """Barucca et al. (2020): relative losses of equity follow Bardoscia et al. (2015)."""
    book = draw(seed)
    equity = book.assets + 0.5
    assets = equity + book.liabilities.sum(axis=1) - book.liabilities.sum(axis=0) + book.external + 50.0
    external = book.external + 50.0
    shock = np.random.default_rng(seed).random(equity.size) * 0.5
    valued = network_valuation(
        book.liabilities, assets - shock * equity, external, valuations.linear_debtrank(equity), tol=1e-15
    )
    spread = debtrank(book.liabilities, equity, shock)
    assert 1 - valued.equity.to_numpy() / equity == pytest.approx(
        spread.frame["uncapped_distress"].to_numpy(), abs=1e-8
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_distress_without_cushion_is_eisenberg_noe_and_a_cushion_only_lowers_equity(seed: int) -> None:
    book = draw(seed)
    plain = network_valuation(*book, valuations.eisenberg_noe()).equity.to_numpy()
    same = network_valuation(*book, valuations.distress(0.0)).equity.to_numpy()
    early = network_valuation(*book, valuations.distress(0.2, 0.9, 0.8)).equity.to_numpy()
    assert same == pytest.approx(plain, abs=1e-9)
    assert (early <= plain + 1e-9).all()


def test_veraart_2020_by_cases() -> None:
    """Assets per unit of liabilities of 1.3, 1.15, 1, 0.9 and −0.1; a cushion of a fifth, R = 0.6, β = 0.5."""
    equity = np.array([0.3, 0.15, 0.0, -0.1, -1.1]) * 10
    book = Book(*(np.full(5, one) for one in (0.0, 0.0, 0.0, 10.0, 10.0, 3.0)))
    worth = valuations.distress(0.2, 0.6, 0.5).value(equity, book)
    assert worth.tolist() == pytest.approx([1.0, 0.6 + 0.4 * 0.75, 0.6, 0.45, 0.0])


def average(worth: Any, assets: float, spread: float) -> float:
    """Return the mean of a function of lognormal assets, by quadrature over the normal density."""

    def integrand(z: float) -> float:
        return float(worth(assets * np.exp(spread * z - spread**2 / 2)) * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))

    kinks = np.linspace(-10, 10, 4_001)
    return float(sum(quad(integrand, low, high)[0] for low, high in zip(kinks[:-1:40], kinks[40::40], strict=True)))


@pytest.mark.parametrize("equity", [-6.0, -1.0, 0.0, 0.5, 3.0, 20.0])
@pytest.mark.parametrize("recovery", [1.0, 0.4])
def test_merton_is_an_average_over_assets_at_maturity(equity: float, recovery: float) -> None:
    """Barucca et al. (2020), eq. 12 of arXiv:1606.05164: with the density itself instead of their closed form."""
    assets, owed, volatility, maturity = 10.0, 4.0, 0.3, 2.0

    def worth(later: float) -> float:
        left = equity + later - assets
        return 1.0 if left >= 0 else recovery * max(0.0, (left + owed) / owed)

    book = Book(*(np.array([one]) for one in (assets, 0.0, 0.0, owed, owed, equity)))
    value = valuations.merton(volatility, maturity, recovery).value(np.array([equity]), book)
    assert value[0] == pytest.approx(average(worth, assets, volatility * np.sqrt(maturity)), abs=1e-4)


@pytest.mark.parametrize("equity", [0.2, 1.0, 4.0, 9.0])
def test_black_cox_is_the_chance_of_a_first_passage(equity: float) -> None:
    """The density of the first passage of a Brownian motion with drift, integrated over time."""
    assets, volatility, maturity = 10.0, 0.4, 1.5
    barrier, drift = np.log((assets - equity) / assets), -(volatility**2) / 2

    def density(time: float) -> float:
        spread = volatility**2 * time
        return float(
            -barrier / (time * np.sqrt(2 * np.pi * spread)) * np.exp(-((barrier - drift * time) ** 2) / (2 * spread))
        )

    chance = quad(density, 0.0, maturity, limit=500)[0]
    book = Book(*(np.array([one]) for one in (assets, 0.0, 0.0, 4.0, 4.0, equity)))
    value = valuations.black_cox(volatility, maturity, 0.6).value(np.array([equity]), book)
    assert value[0] == pytest.approx(1 - 0.4 * chance, abs=1e-6)


@pytest.mark.parametrize("seed", some(20))
def test_without_volatility_merton_is_eisenberg_noe(seed: int) -> None:
    book = draw(seed)
    plain = network_valuation(*book, valuations.eisenberg_noe("senior")).equity.to_numpy()
    merton = network_valuation(*book, valuations.merton(1e-7)).equity.to_numpy()
    assert merton == pytest.approx(plain, abs=1e-4)


def rules(equity: Floats) -> list[Valuation]:
    return [
        valuations.eisenberg_noe(),
        valuations.eisenberg_noe("senior"),
        valuations.rogers_veraart(0.6, 0.8),
        valuations.linear_debtrank(np.abs(equity) + 1.0),
        valuations.furfine(0.4),
        valuations.distress(0.1, 0.9, 0.7),
        valuations.distress(0.4, 0.6, 0.5, (2.0, 3.0)),
        valuations.merton(0.3),
        valuations.merton(0.3, 2.0, 0.5, "pari_passu"),
        valuations.black_cox(0.3, 1.0, 0.6),
        Valuation("own", lambda own, book: 1.0 / (1.0 + np.exp(-own / (1.0 + book.liabilities)))),
    ]


@pytest.mark.parametrize("seed", some(20)[1::3])
@pytest.mark.parametrize("number", range(11))
def test_jacobian_is_what_small_steps_show(seed: int, number: int) -> None:
    book = draw(seed)
    assets = book.assets + 0.3
    start = network_valuation(book.liabilities, assets, book.external, valuations.eisenberg_noe())
    rule = rules(np.array(start.equity))[number]
    found = jacobian(book.liabilities, assets, book.external, rule)
    for node in range(assets.size):
        step = 1e-5 * np.eye(assets.size)[node]
        ahead, behind = (
            network_valuation(book.liabilities, moved, book.external, rule, tol=1e-16, on_failure="return").equity
            for moved in (assets + step, assets - step)
        )
        assert found[node].to_numpy() == pytest.approx(((ahead - behind) / 2e-5).to_numpy(), abs=2e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_more_assets_never_lower_equity(seed: int) -> None:
    book = draw(seed)
    richer = book.assets + np.random.default_rng(seed).random(book.assets.size)
    for rule in (valuations.merton(0.3), valuations.eisenberg_noe(), valuations.furfine(0.2)):
        before = network_valuation(*book, rule).equity
        assert (network_valuation(book.liabilities, richer, book.external, rule).equity >= before - 1e-9).all()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda equity, _: 1.0 + equity**2, "leaves the range"),
        (lambda equity, _: np.exp(-np.abs(equity) - equity), "falls where equity rises"),
        (lambda equity, _: 1.0 / (1.0 + np.exp(equity)), "falls where equity rises"),
        (lambda _, __: 1.0, "shape"),
        (lambda equity, _: np.full_like(equity, float(equity[-1] > 0.0)), "equity of others"),
        (lambda equity, _: np.full_like(equity, np.nan), "leaves the range"),
        (valuations.linear_debtrank([1.0, 2.0]), "cannot value 3 borrowers"),
        ("eisenberg_noe", "give a Valuation or a function"),
    ],
)
def test_functions_that_are_not_feasible_are_refused(rule: Any, said: str) -> None:
    """The last but two is the bug of neva (marcobardoscia/neva): closures that value all banks as the last one."""
    with pytest.raises(InputError, match=said):
        network_valuation([[0, 1, 2], [2, 0, 1], [1, 1, 0]], [1, 3, 2], 0.5, rule)


def test_labels_settings_and_rounds() -> None:
    names = list("ab")
    debts = pd.DataFrame([[0, 2], [1, 0]], names, names)
    assert network_valuation(debts, 1.0, None, valuations.merton([0.2, 0.3])).frame.index.tolist() == names
    assert jacobian(debts, 1.0, None, valuations.black_cox(0.2)).columns.tolist() == names
    for broken in (
        lambda: valuations.merton(-1.0),
        lambda: valuations.furfine(2.0),
        lambda: valuations.distress(0.1, 0.5),
    ):
        with pytest.raises(InputError):
            broken()
    with pytest.raises(NotConverged):
        network_valuation([[0, 9], [9, 0]], 0.001, 0.1, valuations.eisenberg_noe(), max_rounds=2)


def test_figures_with_labels_are_refused_by_valuations_that_know_no_nodes() -> None:
    labelled = pd.Series({"b": 5.0, "a": 10.0})
    for make in (valuations.linear_debtrank, valuations.merton, valuations.black_cox):
        with pytest.raises(InputError, match="has labels; give an array in the order of the nodes"):
            make(labelled)
        with pytest.raises(InputError, match="has labels"):
            make({"a": 1.0})
    with pytest.raises(InputError, match="reference_equity must be finite"):
        valuations.linear_debtrank([1.0, np.nan])
