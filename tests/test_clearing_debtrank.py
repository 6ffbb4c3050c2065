"""DebtRank against plain loops over banks and rounds, its special cases, and each node's default against one by one."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contagion.clearing.cascade import threshold_cascade
from contagion.clearing.debtrank import debtrank
from contagion.clearing.debtrank_all import debtrank_all
from contagion.errors import InputError, NotConverged
from tests.clearing_systems import SEEDS, Floats, draw
from tests.seeds import some

VARIANTS = ("linear", "single_hit", "nonlinear")


def drawn(seed: int) -> tuple[Floats, Floats, Floats]:
    book = draw(seed)
    source = np.random.default_rng(seed + 500)
    equity = book.liabilities.sum(axis=0) * source.uniform(0.3, 3.0) + source.uniform(0.1, 2.0, book.assets.size)
    return book.liabilities, equity, source.random(equity.size) * (source.random(equity.size) < 0.5)


def by_rounds(debts: Floats, equity: Floats, shock: Floats, alpha: float) -> Floats:
    """Bardoscia et al. (2015), with their set of active banks; alpha: Bardoscia et al. (2016)."""
    count = equity.size
    before, now = np.zeros(count), shock.copy()
    for _ in range(3_000):
        after = now.copy()
        for bank in range(count):
            for debtor in range(count):
                if before[debtor] < 1.0:
                    passed = now[debtor] * np.exp(alpha * (now[debtor] - 1))
                    passed -= before[debtor] * np.exp(alpha * (before[debtor] - 1))
                    after[bank] += debts[debtor, bank] / equity[bank] * passed
            after[bank] = min(1.0, after[bank])
        before, now = now, after
        if np.abs(before - now).max() < 1e-15:
            break
    return now


def by_states(debts: Floats, equity: Floats, shock: Floats) -> Floats:
    """Battiston et al. (2012), methods: undistressed, distressed, inactive."""
    count = equity.size
    distress, state = shock.copy(), ["D" if one > 0 else "U" for one in shock]
    while "D" in state:
        after = distress.copy()
        for bank in range(count):
            for debtor in range(count):
                if state[debtor] == "D":
                    after[bank] += min(1.0, debts[debtor, bank] / equity[bank]) * distress[debtor]
            after[bank] = min(1.0, after[bank])
        state = ["I" if old in "DI" else ("D" if now > 0 else "U") for old, now in zip(state, after, strict=True)]
        distress = after
    return distress


@pytest.fixture(params=["sparse", "compiled"])
def passes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with the products that small networks take, and with the sweeps of large ones."""
    module = sys.modules["contagion.clearing.debtrank_all"]
    monkeypatch.setattr(module, "_COMPILED_FROM", 0 if request.param == "compiled" else 10**18)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alpha", [0.0, 0.5, 4.0])
def test_rounds_of_bardoscia_2015_and_2016(seed: int, alpha: float) -> None:
    debts, equity, shock = drawn(seed)
    result = debtrank(debts, equity, shock, variant="nonlinear", alpha=alpha)
    assert result.distress.to_numpy() == pytest.approx(by_rounds(debts, equity, shock, alpha), abs=1e-9)
    if alpha == 0.0:
        plain = debtrank(debts, equity, shock)
        assert plain.distress.to_numpy() == pytest.approx(result.distress.to_numpy(), abs=1e-11)
        assert plain.residual < 1e-11


@pytest.mark.parametrize("seed", SEEDS)
def test_states_of_battiston_2012(seed: int) -> None:
    debts, equity, shock = drawn(seed)
    result = debtrank(debts, equity, shock, variant="single_hit")
    assert result.distress.to_numpy() == pytest.approx(by_states(debts, equity, shock), abs=1e-12)
    assert result.rounds <= equity.size + 1


@pytest.mark.parametrize("seed", some(30))
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.usefixtures("passes")
def test_all_defaults_are_the_single_ones(seed: int, variant: Any) -> None:
    debts, equity, _ = drawn(seed)
    weights = np.random.default_rng(seed).random(equity.size)
    table = debtrank_all(debts, equity, weights, variant=variant).frame
    for node in range(equity.size):
        one = debtrank(debts, equity, {node: 1.0}, weights, variant=variant)
        others = one.frame.drop(index=node)
        row = table.loc[node]
        assert row["additional_stress"] == pytest.approx(one.additional_stress, abs=1e-8)
        assert row["stress"] == pytest.approx(one.stress, abs=1e-8)
        assert row["additional_capped_loss"] == pytest.approx(others["capped_loss"].sum(), abs=1e-6)
        assert row["additional_loss"] == pytest.approx(others["loss"].sum(), abs=1e-6)
        assert row["additional_defaults"] == others["defaulted"].sum()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("passes")
def test_many_scenarios_side_by_side(seed: int) -> None:
    """More nodes than fit one block; in the last system leverage has a radius above one, and many default."""
    source = np.random.default_rng(seed)
    count = 700
    debts = np.where(source.random((count, count)) < 0.01, source.lognormal(0, 1, (count, count)), 0.0)
    np.fill_diagonal(debts, 0.0)
    equity = (debts.sum(axis=0) + 1) * source.uniform(0.8, 1.6, count) * (0.8 if seed == 3 else 1.1)
    table = debtrank_all(debts, equity)
    assert table.residual < 1e-8
    for node in source.integers(0, count, 5):
        one = debtrank(debts, equity, {int(node): 1.0})
        assert table.additional_stress[node] == pytest.approx(one.additional_stress, abs=1e-6)
        assert table.frame.loc[node, "additional_defaults"] == one.defaulted.sum() - 1


@pytest.mark.parametrize("seed", SEEDS)
def test_losses_are_what_debtors_lost(seed: int) -> None:
    debts, equity, shock = drawn(seed)
    frame = debtrank(debts, equity, shock).frame
    assert frame["loss"].to_numpy() == pytest.approx(shock * equity + debts.T @ frame["distress"].to_numpy(), abs=1e-9)
    assert frame["capped_loss"].to_numpy() == pytest.approx(
        frame["loss"].clip(upper=pd.Series(equity)).to_numpy(), abs=1e-9
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_larger_shock_never_means_less_distress(seed: int) -> None:
    debts, equity, shock = drawn(seed)
    more = np.minimum(1.0, shock + 0.1)
    variants: list[Any] = ["linear", "nonlinear"]
    for variant in variants:
        less = debtrank(debts, equity, shock, variant=variant).distress
        assert (debtrank(debts, equity, more, variant=variant).distress >= less - 1e-12).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_only_defaults_count_when_alpha_is_large(seed: int) -> None:
    """Bardoscia et al. (2016): α → ∞ is the cascade of defaults."""
    debts, equity, shock = drawn(seed)
    shock[0] = 1.0
    assert (
        debtrank(debts, equity, shock, variant="nonlinear", alpha=1e5).defaulted.tolist()
        == threshold_cascade(debts, equity, shock).defaulted.tolist()
    )


def test_linear_response_is_leontiefs_while_nobody_defaults() -> None:
    debts, equity, _ = drawn(2)
    equity = equity * 10
    shock = np.full(equity.size, 0.05)
    expected = np.linalg.solve(np.eye(equity.size) - debts.T / equity[:, None], shock)
    assert expected.max() < 1.0
    assert debtrank(debts, equity, shock).distress.to_numpy() == pytest.approx(expected, abs=1e-11)


def test_sweeps_that_run_out_of_rounds_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["contagion.clearing.debtrank_all"], "_COMPILED_FROM", 0)
    ring = 0.99 * np.roll(np.eye(4), 1, axis=1)
    unfinished = debtrank_all(ring, 1.0, max_rounds=1, on_failure="return")
    assert (unfinished.converged, unfinished.rounds) == (False, 1)
    with pytest.raises(NotConverged):
        debtrank_all(ring, 1.0, max_rounds=1)
    assert debtrank_all(ring, 1.0).additional_stress.tolist() == pytest.approx([(0.99 + 0.99**2 + 0.99**3) / 4] * 4)


def test_leverage_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="equity of 1 is too small"):
        debtrank_all([[0, 1e200, 0], [1, 0, 1], [0, 0, 0]], [1, 1e-200, 1])


def test_labels_rounds_and_refusals() -> None:
    names = list("abc")
    debts = pd.DataFrame([[0, 2, 0], [0, 0, 1], [0, 0, 0]], names, names)
    result = debtrank(debts, {"a": 1, "b": 1, "c": 2}, {"a": 1.0})
    assert result.frame["default_round"].to_dict() == {"a": 1, "b": 2, "c": 0}
    assert debtrank_all(debts, {"a": 1, "b": 1, "c": 2}).frame.index.tolist() == names
    with pytest.raises(InputError, match="equity of 'b' is zero"):
        debtrank(debts, {"a": 1, "b": 0, "c": 2}, {"a": 1.0})
    with pytest.raises(InputError, match="weights are all zero"):
        debtrank(debts, 1.0, 0.5, 0.0)
    with pytest.raises(InputError, match="variant"):
        debtrank(debts, 1.0, 0.5, variant="twice")  # type: ignore[arg-type]
    cycle = [[0, 0.99], [0.99, 0]]
    with pytest.raises(NotConverged):
        debtrank(cycle, 1.0, 0.001, max_rounds=5)
    ring = 0.99 * np.roll(np.eye(4), 1, axis=1)
    assert not debtrank_all(ring, 1.0, max_rounds=2, on_failure="return").converged
    assert debtrank_all(ring, 1.0, max_rounds=8).additional_stress.tolist() == pytest.approx(
        [(0.99 + 0.99**2 + 0.99**3) / 4] * 4
    )


@pytest.mark.parametrize("link", [1e-6, 1e-13, 1e-100])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
@pytest.mark.usefixtures("passes")
def test_the_weakest_link_to_a_cycle_that_grows_brings_it_down(link: float, alpha: float) -> None:
    """Two banks have lent each other 1.5 times their equity, and one of them next to nothing to the bank that fails."""
    debts = np.zeros((4, 4))
    debts[0, 1], debts[1, 2], debts[2, 1] = link, 1.5, 1.5
    fails = debtrank(debts, 1.0, {0: 1.0}, variant="nonlinear", alpha=alpha)
    assert fails.distress.tolist() == [1.0, 1.0, 1.0, 0.0]
    assert debtrank(debts, 1.0, {3: 1.0}, variant="nonlinear", alpha=alpha).distress.tolist() == [0.0, 0.0, 0.0, 1.0]
    if alpha == 0.0:
        assert debtrank_all(debts, 1.0).frame["additional_defaults"].tolist() == [2, 1, 1, 0]


@pytest.mark.parametrize("seed", some(12))
@pytest.mark.usefixtures("passes")
def test_leverage_beyond_measure_settles_too(seed: int) -> None:
    """Many defaults, losses of a million times equity."""
    source = np.random.default_rng(seed)
    count = 100
    debts = np.where(source.random((count, count)) < 0.03, np.exp(source.normal(0, 6, (count, count))), 0.0)
    np.fill_diagonal(debts, 0.0)
    equity = debts.sum(axis=0) * 0.9 + 1e-3 * debts.sum(axis=1).max()
    table = debtrank_all(debts, equity)
    assert table.residual < 1e-8
    for node in range(0, count, 25):
        one = debtrank(debts, equity, {node: 1.0})
        assert table.additional_stress[node] == pytest.approx(one.additional_stress, abs=1e-6)
