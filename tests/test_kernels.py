"""The solver where numbers are hard: ties, tipping points, deep links, small losses, prices out of range."""

import decimal
import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.kernels import convergence, markets
from contagion.kernels.accounts import fund
from tests.seeds import some
from tests.systems import draw, loose


def lender(debt: float) -> ct.System:
    """Return 1e8 of A, weighted by 0.8, against a debt, in a market that takes 1e6 for one per cent."""
    return ct.System(
        nodes=pd.DataFrame({"node": ["x"]}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 1e6}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "weight": 0.8}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "x", "cash": -debt}),
        positions=pd.DataFrame({"account": ["a"], "asset": "A", "quantity": 1e8}),
    )


@pytest.mark.parametrize("debt", [math.nextafter(8e7, 1e8), 8e7 * (1 + 1e-14), 8e7 * (1 + 1e-12)])
def test_an_ulp_below_the_level_ends_in_the_full_cascade(debt: float) -> None:
    """The first sale is a quadrillionth of the account, and each is followed by a larger one."""
    assert ct.solve(lender(8e7)).totals["loss"] == 0.0
    solution, want = ct.solve(lender(debt)), ct.solve(lender(8e7 * (1 + 1e-9)))
    assert solution.converged
    assert loose(solution.accounts).loc["a", "liquidated"] == 1.0
    assert solution.totals["loss"] == pytest.approx(want.totals["loss"], rel=1e-8)
    assert solution.totals["loss"] > 2e7


@pytest.mark.parametrize("rule", ["full", "restore", "close_factor"])
@pytest.mark.parametrize("liabilities", [0.0, 1e6])
def test_a_short_squeeze_beyond_all_numbers_does_not_converge(rule: str, liabilities: float) -> None:
    """Buying 1e5 of A back at 100 in a market of depth 100 multiplies its price by 0.99^−1e5."""
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "margin_rule": "maintenance", "close_rule": rule}).assign(
            liabilities=liabilities
        ),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 100.0, "depth": 100.0}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "maintenance": 0.05}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "x", "cash": 1e5}),
        positions=pd.DataFrame(
            {"account": ["a"], "asset": "A", "side": "perp", "quantity": -1e5, "entry_price": [100.0]}
        ),
    )
    with pytest.raises(ct.NotConverged, match="range of the arithmetic"):
        ct.solve(system)
    unfinished = ct.solve(system, on_failure="return")
    assert not unfinished.converged
    for name in ("markets", "accounts", "nodes", "rounds", "prices", "totals", "stock_flow", "knife_edge"):
        assert len(getattr(unfinished, name)) >= 0  # and no warning, which would be an error
    assert "NOT CONVERGED" in repr(unfinished)


def linked(depths: list[float], links: list[tuple[int, int, float]], sold: float) -> ct.System:
    """Return markets of one asset, linked, and an account that is closed at the first of them."""
    nodes = [f"v{i}" for i in range(len(depths))]
    names = [f"v{i}:A" for i in range(len(depths))]
    return ct.System(
        nodes=pd.DataFrame({"node": nodes, "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": names, "venue": nodes, "asset": "A", "price": 1.0, "depth": depths}),
        accounts=pd.DataFrame({"account": ["a"], "platform": "v0", "cash": -1.0}),
        positions=pd.DataFrame({"account": ["a"], "asset": "A", "quantity": [sold]}),
        arbitrage=pd.DataFrame([{"market_a": names[a], "market_b": names[b], "depth": depth} for a, b, depth in links]),
    )


@pytest.fixture(params=["dense", "sparse"])
def factorised(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linked markets solved as a dense system, which few of them are, and as a sparse one."""
    if request.param == "sparse":
        monkeypatch.setattr(markets, "_DENSE", 0)


@pytest.mark.usefixtures("factorised")
@pytest.mark.parametrize("factor", [1.0, 1e6, 1e10, 1e12, 1e15])
def test_deep_links_make_one_market_of_two(factor: float) -> None:
    """Half of the sale crosses the link, whose pressure gap is the flow over its depth."""
    sold = 1e7
    solution = ct.solve(linked([1e6, 1e6], [(0, 1, 1e8)], sold), ct.Scenario(arbitrage=factor))
    x = solution.markets["pressure"]
    assert (solution.markets["depth"] * x).sum() == pytest.approx(sold, rel=1e-9)
    gap = sold / (1e6 + 2e8 * factor)  # D·x1 + L·(x1 − x2) = Q and D·x2 = L·(x1 − x2)
    assert x["v0:A"] - x["v1:A"] == pytest.approx(gap, rel=1e-6, abs=1e-13)
    assert x.mean() == pytest.approx(5.0, rel=1e-9)


@pytest.mark.usefixtures("factorised")
@pytest.mark.parametrize("factor", [1.0, 1e6, 1e12])
def test_deep_links_in_a_chain_of_unequal_markets(factor: float) -> None:
    depths = [1e6, 3e2, 5e7, 0.0]
    links = [(0, 1, 1e8), (1, 2, 3e9), (2, 3, 1e8)]
    solution = ct.solve(linked(depths, links, 1e7), ct.Scenario(arbitrage=factor))
    x = solution.markets["pressure"].to_numpy()
    assert float(np.dot(depths, x)) == pytest.approx(1e7, rel=1e-9)
    bound = 1e7 * sum(1 / (depth * factor) for _, _, depth in links)
    np.testing.assert_allclose(x, 1e7 / sum(depths), rtol=1e-9, atol=bound)


@pytest.mark.usefixtures("factorised")
def test_links_between_markets_of_hardly_any_depth() -> None:
    solution = ct.solve(linked([1e-300, 1e-300], [(0, 1, 1e8)], 1e7))
    x = solution.markets["pressure"]
    assert float((solution.markets["depth"] * x).sum()) == pytest.approx(1e7, rel=1e-9)
    assert x["v0:A"] == pytest.approx(x["v1:A"], rel=1e-9)
    np.testing.assert_allclose(solution.markets["price"], 0.01, rtol=1e-12)


@pytest.mark.usefixtures("factorised")
def test_a_deep_link_to_a_market_that_does_not_move() -> None:
    """v1 takes everything: x0 = Q/(D + L)."""
    solution = ct.solve(linked([1e6, math.inf], [(0, 1, 1e8)], 1e7), ct.Scenario(arbitrage=1e6))
    assert list(solution.markets["pressure"]) == [pytest.approx(1e7 / (1e6 + 1e14), rel=1e-9), 0.0]


@pytest.mark.filterwarnings("ignore:Matrix is exactly singular")
@pytest.mark.usefixtures("factorised")
def test_links_that_leave_no_depth_to_the_last_digit_end_in_an_error_of_ours() -> None:
    """Depths of 1 and a link of 1e18 behind a link of 1 to a market that does not move: diag(D) + L is singular."""
    system = linked([math.inf, 1.0, 1.0], [(0, 1, 1.0), (1, 2, 1e18)], 1e7)
    with pytest.raises(ct.NotConverged):
        ct.solve(system)


@pytest.mark.parametrize("recovery", [1.0, 0.5])
def test_a_small_loss_on_large_liabilities_keeps_its_digits(recovery: float) -> None:
    """1 of 1e12 is lost, and half of the rest if there is a cost of default; the creditor is owed a tenth."""
    system = ct.System(
        nodes=pd.DataFrame({"node": ["d", "c"], "liabilities": [1e12, 0.0], "recovery_rate": recovery}),
        claims=pd.DataFrame({"creditor": ["c"], "debtor": ["d"], "amount": [1e11]}),
    )
    solution = ct.solve(system, ct.Scenario(losses={"d": 1.0}))
    theta = (1 - recovery) + recovery * 1e-12
    assert loose(solution.nodes).loc["d", "haircut"] == pytest.approx(theta, rel=1e-9)
    assert loose(solution.nodes).loc["c", "loss"] == pytest.approx(1e11 * theta, rel=1e-9)


def test_no_source_gives_more_than_all_of_itself() -> None:
    """Sums of parts may exceed the whole by an ulp; a share must not."""
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(2_000):
        count = int(rng.integers(2, 6))
        value = float(rng.random())
        need = rng.dirichlet(np.ones(count)) * value
        above += sum(need) > value
        proceeds = np.append(np.ones(count), value)
        received, given = np.zeros(count + 1), np.zeros(count + 1)
        asked = np.append(need, 0.0)
        taken, _, share = fund(np.arange(count), np.full(count, count), asked, proceeds, received, given)
        assert share.max() <= 1.0
        assert share[count] == pytest.approx(1.0, rel=1e-12)
        assert taken.sum() == pytest.approx(value, rel=1e-12)
    assert above > 100


def test_liquidated_shares_are_shares() -> None:
    for seed in some(40, 100):
        state = ct.solve(*draw(seed), max_rounds=2_000, on_failure="return").parts.run.state
        for share in (state.liquidated, state.withdrawn, state.haircut):
            assert ((share >= 0.0) & (share <= 1.0)).all()


# ---------------------------------------------------------------------------------------------------------------------
# A tipping point whose root is known: a seller of 70 is closed at once, and a market maker without debt quotes 2 of the
# 2.5 of depth, in full at its opening equity and not at all at a fifth of it. At a log drop δ the maker has e^−δ of its
# equity left, so δ = ρ + 70·k/(0.5 + 2·(e^−δ − 0.2)/0.8) until all quotes are gone.

decimal.getcontext().prec = 50
STEP = -(Decimal(99) / 100).ln()


def quoted(shock: float) -> tuple[ct.System, ct.Scenario]:
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "close_rule": "full"}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 0.5}),
        accounts=pd.DataFrame({"account": ["maker", "seller"], "platform": "x", "cash": [0.0, -1.0]}),
        positions=pd.DataFrame({"account": ["maker", "seller"], "asset": "A", "quantity": [10.0, 70.0]}),
        quotes=pd.DataFrame({"account": ["maker"], "market": "x:A", "depth": 2.0, "full_at": 1.0, "withdrawn_at": 0.2}),
    )
    return system, ct.Scenario(shocks={"A": shock})


def impact(delta: Decimal) -> Decimal:
    withdrawn = min(Decimal(1), (1 - (-delta).exp()) / Decimal("0.8"))
    return 70 * STEP / (Decimal("0.5") + 2 * (1 - withdrawn))


def fold() -> Decimal:
    """Return δ where δ − impact(δ) is largest: there the two roots meet, and the shock is the tipping point."""
    low, high = Decimal(0), Decimal("1.6")
    tiny = Decimal(10) ** -20
    for _ in range(100):
        middle = (low + high) / 2
        rising = (middle + tiny) - impact(middle + tiny) > (middle - tiny) - impact(middle - tiny)
        low, high = (middle, high) if rising else (low, middle)
    return low


def least_root(rho: Decimal) -> Decimal:
    """Return the least δ = ρ + impact(δ): below the fold if there is one there, else with all quotes gone."""
    low, high = Decimal(0), fold()
    if rho + impact(high) > high:
        return rho + 70 * STEP / Decimal("0.5")
    for _ in range(150):
        middle = (low + high) / 2
        low, high = (middle, high) if rho + impact(middle) > middle else (low, middle)
    return low


@pytest.mark.parametrize(
    ("distance", "tol"),
    [
        *[(distance, 1e-12) for distance in (1e-2, 1e-4, 1e-5, 1e-6, -1e-7, -1e-5, -1e-3)],
        *[(distance, 1e-6) for distance in (1e-3, 1e-5, -1e-5)],
    ],
)
def test_what_converges_near_a_tipping_point_is_within_a_billionth(distance: float, tol: float) -> None:
    tipping = fold() - impact(fold())
    shock = float(1 - (-(tipping - Decimal(distance))).exp())
    solution = ct.solve(*quoted(shock), tol=tol, max_rounds=5_000, on_failure="return")
    root = least_root(-(1 - Decimal(shock)).ln())
    got = -math.log(float(loose(solution.markets).loc["x:A", "price"]))
    assert got <= float(root) + 1e-12  # never past the least fixed point
    assert abs(distance) < 1e-5 or solution.converged
    if solution.converged:
        assert abs(got - float(root)) <= 1e-9
        assert solution.error_estimate <= 1e-9


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ([0.1, 0.0], True),  # nothing moves
        ([0.1, 0.01, 1e-3], False),  # still above tol
        ([1e-2, 1e-5, 1e-13], False),  # one quiet round may be the first of a cascade that starts from an ulp
        ([1e-2, 1e-13, 2e-13, 4e-13], False),  # and this one is
        ([1e-9, 1e-11, 9e-13, 8e-13, 7e-13], True),  # quiet and shrinking
        ([9e-13, 8.999999e-13, 8.999998e-13], False),  # quiet, but ρ is so near one that the error is not small
        ([1e-16] * 99, False),
        ([1e-16] * 100, True),  # rounding alone, for long enough
        ([0.1, math.nan], False),
    ],
)
def test_settled(steps: list[float], ends: bool) -> None:
    assert convergence.settled(steps, 1e-12) is ends
