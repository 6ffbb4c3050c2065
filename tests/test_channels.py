"""Transmission rules against quadrature, special cases and hand-computed numbers."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad

from contagion import channels

KINDS = range(len(channels.IMPACTS))


def one(kind: int, x: float, floor: float) -> tuple[float, float]:
    """Return impact and sellers' discount of one market."""
    code, sale, low = np.array([kind], dtype=np.int8), np.array([x]), np.array([floor])
    return float(channels.impact(code, sale, -np.log(low))[0]), float(channels.sellers_discount(code, sale, low)[0])


def plain_impact(kind: int, x: float, floor: float) -> float:
    """Return min(g(x), −ln floor) written as in the definition, one number at a time."""
    if x <= 0.0:
        return x * math.log(1 / 0.99)
    sold = {
        0: lambda: x * math.log(1 / 0.99),
        1: lambda: -math.log(1 - 0.01 * x) if x < 100 else math.inf,
        2: lambda: -math.log(1 - 0.01 * math.sqrt(x)) if x < 10_000 else math.inf,
        3: lambda: 2 * math.log(1 + x * (0.99**-0.5 - 1)),
    }
    return min(sold[kind](), -math.log(floor))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sale_of_one_lowers_the_price_by_one_per_cent(kind: int) -> None:
    assert 1 - math.exp(-one(kind, 1.0, 0.01)[0]) == pytest.approx(0.01, rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("floor", [0.01, 0.3, 0.97, 1.0])
@pytest.mark.parametrize("x", [-50.0, -1.0, -1e-9, 1e-12, 0.3, 1.0, 7.0, 99.0, 100.0, 150.0, 2e3, 9_999.0, 1e6])
def test_impact_is_its_definition(kind: int, floor: float, x: float) -> None:
    assert one(kind, x, floor)[0] == pytest.approx(plain_impact(kind, x, floor), rel=1e-13, abs=1e-15)


@given(st.sampled_from(KINDS), st.floats(-30.0, 3e4), st.floats(0.005, 1.0))
def test_sellers_discount_is_the_mean_of_prices_on_the_way(kind: int, x: float, floor: float) -> None:
    assume(abs(x) >= 1e-3)  # below, quadrature is no better than the number that it is to judge
    cap = -math.log(floor)
    knees = [k for k in bounds_of(cap, kind) if 0 < k < x]
    edges = [0.0, *knees, x]
    total = sum(
        quad(lambda t: math.exp(-plain_impact(kind, t, floor)), a, b, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
        for a, b in pairwise(edges)
    )
    assert one(kind, x, floor)[1] == pytest.approx(total / x, rel=1e-8)


def bounds_of(cap: float, kind: int) -> list[float]:
    """Return points between which the integrand is smooth: where the floor binds, found by bisection."""
    low, high = 0.0, 1e9
    for _ in range(200):
        mid = 0.5 * (low + high)
        low, high = (mid, high) if plain_impact(kind, mid, 1e-300) < cap else (low, mid)
    return [1e-2, high]


@pytest.mark.parametrize("kind", KINDS)
def test_limits_of_impact(kind: int) -> None:
    assert one(kind, 0.0, 0.2) == (0.0, 1.0)
    drop, discount = one(kind, math.inf, 0.2)
    assert drop == pytest.approx(-math.log(0.2), rel=1e-15)
    assert discount == pytest.approx(0.2, rel=1e-15)


@given(st.sampled_from(KINDS), st.floats(0.0, 1e5), st.floats(0.0, 1e5), st.floats(0.01, 1.0))
def test_more_sales_never_raise_prices(kind: int, a: float, b: float, floor: float) -> None:
    low, high = sorted((a, b))
    (drop_low, mean_low), (drop_high, mean_high) = one(kind, low, floor), one(kind, high, floor)
    assert drop_low <= drop_high
    assert mean_high <= mean_low * (1 + 1e-14)
    assert mean_high >= math.exp(-drop_high) * (1 - 1e-14)  # sellers get at least the terminal price


def test_restoring_leaves_no_surplus_missing() -> None:
    surplus, equity = np.array([-3.0, -0.5, -8.0]), np.array([1.0, 40.0, 1e-3])
    share = channels.restore(surplus, equity)
    np.testing.assert_allclose((1 - share) * surplus + share * equity, 0.0, atol=1e-15)


def test_restore_at_its_edges() -> None:
    got = channels.restore(np.array([0.0, -0.0, -1e-300, -1.0, -1.0]), np.array([-1.0, 0.0, 1.0, 0.0, -5.0]))
    assert got.tolist() == [0.0, 0.0, 1e-300, 1.0, 1.0]


def test_restore_is_aaves_repayment_to_a_health_of_one() -> None:
    """Collateral C, debt D, threshold l, bonus b: repay (D − l·C)/(1 − l(1 + b)), sell 1 + b times that."""
    collateral, debt, threshold, bonus = 100.0, 85.0, 0.8, 0.05
    repaid = (debt - threshold * collateral) / (1 - threshold * (1 + bonus))
    cost = 1 - 1 / (1 + bonus)
    surplus = threshold * collateral - debt
    equity = (1 - cost) * collateral - debt
    share = float(channels.restore(np.array([surplus]), np.array([equity]))[0])
    # selling λ of everything sells λ·C; Aave's sale repays debt too, leaving (C − s, D − x) = (1 − λ)(C, D) + λV
    after_debt = (1 - share) * debt - share * equity
    after_collateral = (1 - share) * collateral
    assert threshold * after_collateral / after_debt == pytest.approx(1.0, rel=1e-12)
    assert share * collateral == pytest.approx(repaid * (1 + bonus), rel=1e-12)


@pytest.mark.parametrize(
    ("restoring", "full", "debt", "equity", "factor", "want"),
    [
        (0.1, False, 60.0, 40.0, 0.5, 0.3),  # half of 60 out of 100 of proceeds
        (0.7, False, 60.0, 40.0, 0.5, 0.7),  # restoring asks for more
        (0.1, True, 60.0, 40.0, 0.5, 1.0),  # below the full-close level
        (0.1, False, 60.0, -60.0, 0.5, 1.0),  # nothing to sell for
        (0.1, False, 90.0, -50.0, 0.5, 1.0),  # 45 of 40 of proceeds: all
        (0.0, False, 0.0, 40.0, 0.5, 0.0),  # nothing owed
    ],
)
def test_close_factor(restoring: float, full: bool, debt: float, equity: float, factor: float, want: float) -> None:
    got = channels.close_factor(
        np.array([restoring]), np.array([full]), np.array([debt]), np.array([equity]), np.array([factor])
    )
    assert got[0] == pytest.approx(want, rel=1e-15)


def test_toxic_spiral_above_one_over_one_plus_bonus() -> None:
    """Selling makes health worse once LTV > 1/(1 + b), and restoring then asks for everything (Warmuz et al. 2022)."""
    bonus = 0.08
    for loan_to_value, toxic in [(1 / (1 + bonus) - 1e-9, False), (1 / (1 + bonus) + 1e-9, True)]:
        equity = 1.0 / (1 + bonus) - loan_to_value
        share = channels.restore(np.array([-0.1]), np.array([equity]))[0]
        assert bool(share == 1.0) is toxic


def test_withdrawal_is_linear_between_its_levels() -> None:
    equity = np.array([10.0, 8.0, 6.5, 5.0, 1.0, -3.0])
    share = channels.withdrawal(equity, np.full(6, 10.0), np.full(6, 0.8), np.full(6, 0.5))
    np.testing.assert_allclose(share, [0.0, 0.0, 0.5, 1.0, 1.0, 1.0], atol=1e-15)
    gone = channels.withdrawal(np.array([5.0, 0.0]), np.array([0.0, -1.0]), np.ones(2), np.zeros(2))
    assert gone.tolist() == [1.0, 1.0]


def test_deficit_needs_a_closed_account() -> None:
    assert channels.deficit(np.array([-5.0, -5.0, 5.0]), np.array([1.0, 0.999, 1.0])).tolist() == [5.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("loss", "buffer", "liabilities", "recovery", "want"),
    [
        (5.0, 5.0, 10.0, 0.5, 0.0),  # the buffer holds
        (7.0, 5.0, 10.0, 1.0, 0.2),  # 2 of 10
        (7.0, 5.0, 10.0, 0.5, 0.6),  # and half of what is left is lost in default
        (50.0, 5.0, 10.0, 1.0, 1.0),  # more than all
        (50.0, 5.0, 0.0, 1.0, 0.0),  # owed to nobody
    ],
)
def test_haircut(loss: float, buffer: float, liabilities: float, recovery: float, want: float) -> None:
    got = channels.haircut(np.array([loss]), np.array([buffer]), np.array([liabilities]), np.array([recovery]))
    assert got[0] == pytest.approx(want, rel=1e-15)


def test_log_drop() -> None:
    assert channels.log_drop(np.array([0.0, 0.5, 1.0])).tolist() == [0.0, math.log(2), math.inf]
