"""The liquidatable-collateral curve: by a plain loop, and against single solves."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

import contagion as ct
from contagion.stress import collateral_curve
from tests.stress_systems import borrowers, examples, seeds, shuffled
from tests.systems import draw, loose
from tests.test_properties import isotone

few = examples(8)


def test_the_first_round_by_a_plain_loop_and_the_rest_by_sorting() -> None:
    debts = (7.7, 7.4, 7.0, 6.0, 4.0)
    found = loose(collateral_curve(borrowers(*debts), "A", [0.0, 0.02, 0.05, 0.2, 0.3, 0.6]))
    for drop in found.index:
        alone = sum(10.0 for debt in debts if 8.0 * (1.0 - drop) < debt)
        price, sold = 1.0 - drop, 0.0
        for debt in sorted(debts, reverse=True):
            if 8.0 * price < debt:
                sold += 10.0
                price = (1.0 - drop) * 0.99 ** (sold / 2.0)
        assert found.loc[drop, "first_round"] == alone
        assert found.loc[drop, "with_feedback"] == pytest.approx(sold, rel=1e-12)
    assert (found["with_feedback"] > found["first_round"]).any()


def test_drops_are_sorted_and_the_usual_ones_are_46() -> None:
    found = collateral_curve(borrowers(7.0), "A", np.array([0.5, 0.1, 0.5]))
    assert found.index.tolist() == [0.1, 0.5]
    assert found.index.name == "drop"
    assert len(collateral_curve(borrowers(7.0), "A")) == 46


@few
@given(seeds)
def test_every_row_is_a_solve(seed: int) -> None:
    """Hedged or not, warm or cold; a market's own shock in the background does not outlive the asset's."""
    system, scenario = isotone(seed) if seed % 2 else draw(seed)
    asset = str(system.markets["asset"].iloc[seed % len(system.markets)])
    found = collateral_curve(system, asset, [0.05, 0.2, 0.5], scenario)
    own = set(system.markets.loc[system.markets["asset"] == asset, "market"])
    for drop, row in loose(found).iterrows():
        shocks = {name: size for name, size in scenario.shocks.items() if name not in own} | {asset: drop}
        fallen = ct.Scenario(shocks, scenario.depth, scenario.arbitrage, scenario.losses)
        cold = ct.solve(system, fallen, on_failure="return")
        assert cold.converged != np.isnan(row["loss"])
        first = ct.solve(system, fallen, max_rounds=1, on_failure="return").totals["liquidated"]
        assert row["first_round"] == pytest.approx(first, rel=1e-12)
        if cold.converged:
            assert row["loss"] == pytest.approx(cold.totals["loss"], rel=1e-9, abs=1e-9)
            assert row["with_feedback"] == pytest.approx(cold.totals["liquidated"], rel=1e-9, abs=1e-9)


def test_pegs_follow() -> None:
    system = borrowers(7.6)
    assets = pd.concat([system.assets, pd.DataFrame({"asset": ["W"]})])
    wrapped = system.markets.assign(market="x:W", asset="W", pegged_to="x:A")
    system = system.with_table("assets", assets).with_table("markets", pd.concat([system.markets, wrapped]))
    system = system.with_table("positions", system.positions.assign(asset="W"))
    system = system.with_table("terms", system.terms.assign(asset="W"))
    assert collateral_curve(system, "A", [0.04, 0.06])["first_round"].tolist() == [0.0, 10.0]


@few
@given(seeds)
def test_the_order_of_rows_changes_no_bit(seed: int) -> None:
    system, scenario = draw(seed)
    one, two = (collateral_curve(tables, "BTC", [0.1, 0.4], scenario) for tables in (system, shuffled(system, seed)))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_progress_is_shown_on_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    collateral_curve(borrowers(7.6), "A", [0.1], progress=True)
    shown = capsys.readouterr()
    assert "drops" in shown.err
    assert not shown.out


def test_bad_arguments_are_named_together() -> None:
    with pytest.raises(ct.InputError, match="did you mean 'A'") as caught:
        collateral_curve(borrowers(7.6), "a", [0.1, 1.0, True])
    assert caught.value.problems[1:] == ("drops holds 1.0 and True; give numbers of at least 0 and below 1",)
    with pytest.raises(ct.InputError, match=r"-1, -2, -3, -4, -5 and 2 more"):
        collateral_curve(borrowers(7.6), "A", [-1, -2, -3, -4, -5, -6, -7])
    wrong: list[Any] = [[], np.array([[0.1], [0.2]]), 0.5, "0.5"]
    for drops in wrong:
        with pytest.raises(ct.InputError, match="give a list of at least one number"):
            collateral_curve(borrowers(7.6), "A", drops)
    with pytest.raises(ct.InputError, match="give a System"):
        collateral_curve(None, "A")  # type: ignore[arg-type]
    with pytest.raises(ct.InputError, match="give a Scenario"):
        collateral_curve(borrowers(7.6), "A", [0.1], "record")  # type: ignore[arg-type]
