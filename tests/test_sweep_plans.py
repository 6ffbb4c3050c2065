"""Grids and draws: what they hold, in which order, and how random they are."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest

import contagion as ct

NAMES = ["BTC", "ETH", "SOL"]
COVARIANCE = pd.DataFrame([[0.04, 0.03, 0.0], [0.03, 0.09, 0.01], [0.0, 0.01, 0.01]], index=NAMES, columns=NAMES)


def test_a_grid_is_the_product_with_the_last_shock_fastest() -> None:
    base = ct.Scenario(shocks={"SOL": 0.4}, depth={"Kraken": 0.5}, name="base")
    plan = ct.grid(
        base,
        shocks={"BTC": [0.1, 0.2], "ETH": [0.0, 0.5]},
        depth={"Binance": [1, 0.5]},
        losses={"fund": [0, 7]},
        arbitrage=[1, 0],
    )
    wanted = [
        ct.Scenario(
            shocks={"SOL": 0.4, "BTC": btc, "ETH": eth},
            depth={"Kraken": 0.5, "Binance": depth},
            losses={"fund": loss},
            arbitrage=arbitrage,
            name="base",
        )
        for arbitrage in (1, 0)
        for loss in (0, 7)
        for depth in (1, 0.5)
        for btc in (0.1, 0.2)
        for eth in (0.0, 0.5)
    ]
    assert list(plan) == wanted
    assert [plan[-1], *plan[1:3]] == [wanted[-1], *wanted[1:3]]
    assert plan.parameters.columns.tolist() == ["arbitrage", "losses:fund", "depth:Binance", "shocks:BTC", "shocks:ETH"]
    combined = itertools.product([1, 0], [0, 7], [1, 0.5], [0.1, 0.2], [0.0, 0.5])
    assert plan.parameters.to_numpy().tolist() == [list(map(float, row)) for row in combined]
    with pytest.raises(IndexError):
        plan[32]


def test_a_grid_of_nothing_is_its_base() -> None:
    assert list(ct.grid(ct.Scenario(arbitrage=0.3))) == [ct.Scenario(arbitrage=0.3)]


def test_names_with_colons_stay_whole() -> None:
    plan = ct.grid(shocks={"Binance:BTC": [0.1]})
    assert plan[0].shocks == {"Binance:BTC": 0.1}
    assert plan.parameters.columns.tolist() == ["shocks:Binance:BTC"]


def test_names_of_a_grid_are_texts_that_say_something() -> None:
    with pytest.raises(ct.InputError) as caught:
        ct.grid(shocks={"": [0.1]}, depth={3: [0.1], None: [1], "3": [0.2, 0.3]})  # type: ignore[dict-item]
    assert caught.value.problems == (
        "depth has the keys 3, None; give names as text that is not empty",
        "shocks has the key ''; give names as text that is not empty",
    )
    assert ct.Grid(ct.Scenario(), {"shocks:": (0.1,)})[0].shocks == {"": 0.1}


def test_every_problem_of_a_grid_is_listed() -> None:
    with pytest.raises(ct.InputError) as caught:
        ct.grid(
            "base",  # type: ignore[arg-type]
            shocks={"BTC": [0.1, 1.0], "ETH": 0.1},  # type: ignore[dict-item]
            depth={"x": [-1], "y": {0.5, 1.0}},  # type: ignore[dict-item]
            losses=[1.0],  # type: ignore[arg-type]
            arbitrage=[],
        )
    found = caught.value.problems
    assert len(found) == 7
    assert [problem.split(" ")[0] for problem in found] == [
        "base", "arbitrage", "losses", "depth:x", "depth:y", "shocks:BTC", "shocks:ETH",
    ]  # fmt: skip


def test_draws_have_the_covariance_that_was_asked_for() -> None:
    draws = ct.gaussian_draws(200_000, COVARIANCE, seed=1, horizon=2.0)
    # the standard error of a covariance of Gaussians is √((σii·σjj + σij²) / count)
    variance = np.diag(COVARIANCE)
    error = 2.0 * np.sqrt((np.outer(variance, variance) + COVARIANCE.to_numpy() ** 2) / len(draws))
    assert (np.abs(draws.returns.cov().to_numpy() - 2.0 * COVARIANCE.to_numpy()) < 4.5 * error).all()
    assert (np.abs(draws.returns.mean()) < 4.5 * np.sqrt(2.0 * variance / len(draws))).all()


def test_draws_come_out_again_and_more_of_them_begin_alike() -> None:
    first, again, more = (ct.gaussian_draws(count, COVARIANCE, seed=3) for count in (50, 50, 80))
    pd.testing.assert_frame_equal(first.returns, again.returns, check_exact=True)
    pd.testing.assert_frame_equal(first.returns, more.returns.head(50), check_exact=True)
    assert not first.returns.equals(ct.gaussian_draws(50, COVARIANCE, seed=4).returns)


def test_columns_of_a_covariance_may_stand_in_any_order() -> None:
    shuffled = COVARIANCE[["SOL", "BTC", "ETH"]]
    assert ct.gaussian_draws(9, shuffled).returns.equals(ct.gaussian_draws(9, COVARIANCE).returns)


def test_a_covariance_of_lower_rank_moves_assets_together() -> None:
    one = pd.DataFrame(np.outer([0.1, 0.2], [0.1, 0.2]), index=["A", "B"], columns=["A", "B"])
    drawn = ct.gaussian_draws(100, one).returns
    np.testing.assert_allclose(drawn["B"], 2.0 * drawn["A"], atol=1e-8)


def test_drops_add_to_the_base_in_log_terms_and_rises_are_clipped() -> None:
    base = ct.Scenario(shocks={"BTC": 0.2, "DOGE": 0.5}, arbitrage=0.5, name="bad day")
    draws = ct.gaussian_draws(500, COVARIANCE, base=base)
    total = np.array([np.log(1.0 - 0.2), 0.0, 0.0]) + draws.returns.to_numpy()
    np.testing.assert_allclose(draws.parameters.to_numpy(), 1.0 - np.exp(np.minimum(total, 0.0)), atol=1e-15)
    assert draws.clipped_share == (total > 0.0).mean()
    assert draws.parameters.columns.tolist() == ["shocks:BTC", "shocks:ETH", "shocks:SOL"]
    for number in (0, 499):
        one = draws[number]
        assert one.shocks == {"DOGE": 0.5, **dict(zip(NAMES, draws.parameters.iloc[number], strict=True))}
        assert (one.arbitrage, one.name) == (0.5, "bad day")


def test_history_is_drawn_day_by_day_and_together() -> None:
    history = pd.DataFrame({"A": [-0.1, -0.2, 0.3, -0.4], "B": [-1.0, -2.0, -3.0, -4.0]})
    drawn = ct.historical_draws(4_000, history, seed=2)
    pairs = {tuple(row) for row in history.to_numpy().tolist()}
    assert {tuple(row) for row in drawn.returns.to_numpy().tolist()} == pairs
    share = drawn.returns["A"].value_counts(normalize=True)
    assert (np.abs(share - 0.25) < 4.5 * np.sqrt(0.25 * 0.75 / 4_000)).all()
    assert drawn.returns.equals(ct.historical_draws(4_000, history, seed=2).returns)


def test_longer_horizons_add_up_days_in_a_row() -> None:
    history = pd.DataFrame({"A": [-0.1, -0.2, -0.4, -0.8]})
    drawn = ct.historical_draws(300, history, horizon=2).returns["A"].round(12)
    assert set(drawn) == {-0.3, -0.6, -1.2}


def test_rises_may_be_refused() -> None:
    falls = pd.DataFrame({"A": [-0.1, -0.2]})
    assert ct.historical_draws(5, falls, rises="refuse").clipped_share == 0.0
    with pytest.raises(ct.InputError, match="of the drops drawn are rises"):
        ct.historical_draws(50, falls + 0.15, rises="refuse")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ([[1.0]], "is a list"),
        (COVARIANCE.rename(columns={"BTC": "XBT"}), "index and columns differ"),
        (COVARIANCE.iloc[:2], "index and columns differ"),
        (COVARIANCE.astype(str), "not numbers"),
        (COVARIANCE.where(COVARIANCE > 0.0), "empty or infinite"),
        (COVARIANCE + np.triu(np.ones((3, 3)), 1), "not symmetric"),
        (COVARIANCE - 0.05 * np.eye(3), "smallest eigenvalue is -0.0"),
    ],
)
def test_what_is_no_covariance_is_refused(given: object, word: str) -> None:
    with pytest.raises(ct.InputError) as caught:
        ct.gaussian_draws(0, given, seed=-1, base=3, horizon=0, rises="keep")  # type: ignore[arg-type]
    found = caught.value.problems
    assert word in found[-1]
    assert [problem.split(" ")[0] for problem in found[:-1]] == ["count", "seed", "base", "rises", "horizon"]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ([0.1], "give a DataFrame"),
        (pd.DataFrame({"A": []}), "give a DataFrame"),
        (pd.DataFrame({3: [0.1, 0.2]}), "not text"),
        (pd.DataFrame({"A": ["x", "y"]}), "not numbers"),
        (pd.DataFrame({"A": [0.1, np.nan]}), "empty or infinite"),
        (pd.DataFrame({"A": [0.1]}), "has 1 rows; give at least the 2"),
    ],
)
def test_what_is_no_history_is_refused(given: object, word: str) -> None:
    with pytest.raises(ct.InputError) as caught:
        ct.historical_draws(5, given, horizon=2)  # type: ignore[arg-type]
    assert word in str(caught.value)


def test_bases_that_are_no_drops_are_refused() -> None:
    with pytest.raises(ct.InputError, match=r"base: shocks of 'BTC' is 1\.5"):
        ct.gaussian_draws(3, COVARIANCE, base=ct.Scenario(shocks={"BTC": 1.5}))


def test_plans_can_be_sent_to_other_processes() -> None:
    plans: list[ct.Grid | ct.Draws] = [ct.grid(shocks={"BTC": [0.1, 0.2]}), ct.gaussian_draws(3, COVARIANCE)]
    for plan in plans:
        assert list(pickle.loads(pickle.dumps(plan))) == list(plan)


def test_tables_of_a_plan_are_copies() -> None:
    draws = ct.gaussian_draws(3, COVARIANCE)
    drawn = draws.returns
    drawn.iloc[0, 0] = 9.0
    assert draws.returns.iloc[0, 0] != 9.0


def test_repr_says_what_there_is() -> None:
    assert repr(ct.gaussian_draws(3, COVARIANCE)).startswith("Draws(3 scenarios of BTC, ETH, SOL; ")
    assert repr(ct.grid(shocks={"BTC": [0.1]})) == "Grid(1 scenarios: shocks:BTC × 1)"
