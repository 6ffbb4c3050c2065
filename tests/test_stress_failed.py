"""Failures of one alone: by hand, as scenarios, and over random systems."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given

import contagion as ct
from contagion.kernels import iterate
from contagion.kernels.rounds import start
from contagion.stress import impact_if_failed
from contagion.stress.candidates import Candidates
from contagion.stress.runs import Book
from tests.stress_systems import at_one_venue, examples, seeds, shuffled
from tests.systems import draw, loose
from tests.test_properties import isotone

few = examples(8)


def holders(quoted: float = 0.0) -> ct.System:
    """Return holders of 10 and 4 A at a venue with depth 2 and what the first of them quotes."""
    system = at_one_venue([10.0, 4.0], [0.0, 0.0], cost=0.0)
    system = system.with_table("accounts", system.accounts.assign(group=["seller", "holder"]))
    return system.with_table("quotes", pd.DataFrame({"account": ["a0"], "market": "x:A", "depth": quoted}))


@pytest.mark.parametrize("quoted", [0.0, 3.0])
def test_a_group_by_hand(quoted: float) -> None:
    """Its quotes are gone, so 10 A in a depth of 2 lower the price to 0.99^5; the average is (1 − 0.99^5)/(5k)."""
    found = loose(impact_if_failed(holders(quoted)))
    k = -math.log(0.99)
    own = 10 * (1 - (1 - 0.99**5) / (5 * k))
    others = 4 * (1 - 0.99**5)
    assert found.loc["seller @ x", "direct"] == pytest.approx(own, rel=1e-12)
    assert found.loc["seller @ x", "impact_if_failed"] == pytest.approx(own + others, rel=1e-12)
    assert found.loc["seller @ x", "share_of_equity"] == pytest.approx((own + others) / 14.0, rel=1e-12)
    assert loose(found.loc["x"]).tolist() == ["node", 0.0, 0.0, 0.0]


def test_a_chain_of_banks_by_hand() -> None:
    """A owes B 100, B owes C 80, nobody else; buffers 10, 30, 5. C has no debts: what it loses beyond falls on others.

    If A fails: A's buffer 10; B loses 100, of which 70 are more than its buffer, so C is cut by 70: 5 of buffer and
    65 beyond, in all 10 + 30 + 70 = 110.
    """
    system = ct.System(
        nodes=pd.DataFrame({"node": ["A", "B", "C"], "buffer": [10.0, 30.0, 5.0]}),
        claims=pd.DataFrame({"creditor": ["B", "C"], "debtor": ["A", "B"], "amount": [100.0, 80.0]}),
    )
    found = loose(impact_if_failed(system))
    assert found.index.tolist() == ["A", "B", "C"]  # A and B tie: 30 + 80 and 10 + 100
    np.testing.assert_allclose(found["impact_if_failed"], [110.0, 110.0, 5.0], rtol=1e-12)
    np.testing.assert_allclose(found["direct"], [110.0, 110.0, 5.0], rtol=1e-12)


@few
@given(seeds)
def test_a_failed_node_is_a_scenario_with_its_buffer_and_liabilities_lost(seed: int) -> None:
    system, scenario = draw(seed)
    background = ct.Scenario(depth=scenario.depth, arbitrage=scenario.arbitrage)
    base = ct.solve(system, background, on_failure="return")
    assume(base.converged)
    found = loose(impact_if_failed(system, background, list(base.nodes.index)))
    for name, node in loose(base.nodes).iterrows():
        if np.isnan(found.loc[name, "impact_if_failed"]):
            continue
        left = max(0.0, node["buffer"] + node["liabilities"] - node["loss"])
        losses = ct.Scenario(depth=scenario.depth, arbitrage=scenario.arbitrage, losses={name: left})
        failed = ct.solve(system, losses)
        want = failed.totals["loss"] - base.totals["loss"]
        scale = failed.totals["loss"] + 1.0
        assert found.loc[name, "direct"] == left
        assert found.loc[name, "impact_if_failed"] == pytest.approx(want, abs=1e-9 * scale)


@few
@given(seeds)
def test_a_failed_group_is_one_that_stops_out_at_any_equity(seed: int) -> None:
    """In long-only systems: an infinite stop-loss closes every account of positive equity, and so its quotes."""
    system, scenario = isotone(seed)
    base = ct.solve(system, scenario)
    parts = base.parts
    candidates, book = Candidates.of(parts), Book.of(parts)
    found = loose(impact_if_failed(system, scenario))
    for candidate in candidates.all(["group"]):
        members = candidates.accounts(candidate)
        if (parts.outcome.opening.equity[members] <= 0.0).any():
            continue
        stop_loss = np.where(members, np.inf, parts.inputs.accounts.stop_loss)
        inputs = parts.inputs._replace(accounts=parts.inputs.accounts._replace(stop_loss=stop_loss))
        want = book.run(inputs).loss - base.totals["loss"]
        got = found.loc[candidate.name, "impact_if_failed"]
        assert got == pytest.approx(want, abs=1e-8 * (base.totals["loss"] + abs(want) + 1.0))


def test_rounds_from_a_forced_state_do_not_stop_before_sellers_know_their_price() -> None:
    """At the floor nothing but the sellers' average price moves in the first round, and with it what they lose."""
    system = holders()
    system = system.with_table("markets", system.markets.assign(floor=1.0))
    inputs = ct.solve(system, max_rounds=1, on_failure="return").parts.inputs
    begin = start(inputs)._replace(liquidated=np.ones(2))
    assert len(iterate(inputs, 1e-12, 100, begin=begin).records) == 2


@few
@given(seeds)
def test_the_ratchet_holds_a_forced_state(seed: int) -> None:
    system, scenario = draw(seed)
    inputs = ct.solve(system, scenario, max_rounds=1, on_failure="return").parts.inputs
    begin, rng = start(inputs), np.random.default_rng(seed)
    forced = begin._replace(
        liquidated=rng.uniform(size=begin.liquidated.size),
        withdrawn=rng.uniform(size=begin.withdrawn.size),
        haircut=rng.uniform(size=begin.haircut.size),
    )
    kept = [array.copy() for array in forced]
    end = iterate(inputs, 1e-12, 200, begin=forced).state
    for name in ("liquidated", "withdrawn", "haircut"):
        assert (getattr(end, name) >= getattr(forced, name)).all()
    for before, after in zip(kept, forced, strict=True):
        assert np.array_equal(before, after)


@few
@given(seeds)
def test_the_order_of_rows_changes_no_bit(seed: int) -> None:
    system, scenario = draw(seed)
    assume(ct.solve(system, scenario, on_failure="return").converged)
    one, two = (impact_if_failed(tables, scenario) for tables in (system, shuffled(system, seed)))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_the_background_is_taken_off_and_lost_once() -> None:
    """A bank that a loss of 130 has taken already cannot fail again; of one of 30, 100 are left to lose."""
    system = ct.System(nodes=pd.DataFrame({"node": ["bank"], "buffer": [10.0], "liabilities": [120.0]}))
    for loss, left in ((0.0, 130.0), (30.0, 100.0), (130.0, 0.0), (150.0, 0.0)):
        found = loose(impact_if_failed(system, ct.Scenario(losses={"bank": loss})))
        assert found.loc["bank", "direct"] == pytest.approx(left, rel=1e-12)
        assert found.loc["bank", "impact_if_failed"] == pytest.approx(left, rel=1e-12)


def test_thin_markets_make_a_failure_dearer() -> None:
    thin = impact_if_failed(holders(), ct.Scenario(depth={"x": 0.5}), ["seller @ x"])["impact_if_failed"]
    usual = impact_if_failed(holders(), names=["seller @ x"])["impact_if_failed"]
    assert thin.iloc[0] > usual.iloc[0]


def test_bad_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ct.InputError, match="'x:A' is not a node or account group"):
        impact_if_failed(holders(), names=["x:A"])
    with pytest.raises(ct.InputError, match="did you mean 'seller @ x'"):
        impact_if_failed(holders(), names=["sellers @ x"])
    with pytest.raises(ct.InputError, match="give a list of names"):
        impact_if_failed(holders(), names="x")
    with pytest.raises(ct.InputError, match="give names as text"):
        impact_if_failed(holders(), names=[1, None])  # type: ignore[list-item]
    with pytest.raises(ct.InputError, match="give a System"):
        impact_if_failed(None)  # type: ignore[arg-type]
    with pytest.raises(ct.InputError, match="impact_if_failed: 3 problems"):
        impact_if_failed(None, "record", "x")  # type: ignore[arg-type]
    impact_if_failed(holders(), progress=True)
    shown = capsys.readouterr()
    assert "failed" in shown.err
    assert not shown.out
