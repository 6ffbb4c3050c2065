import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import Scenario, System, generate
from contagion.validate import problems, validate
from contagion.validate.table import suggestion

GOOD: dict[str, dict[str, list[Any]]] = {
    "nodes": {"node": ["Aave", "Binance", "fund"]},
    "assets": {"asset": ["BTC", "USDe"], "issuer": ["", "fund"]},
    "markets": {
        "market": ["Aave:BTC", "Binance:BTC", "Binance:USDe"],
        "venue": ["Aave", "Binance", "Binance"],
        "asset": ["BTC", "BTC", "USDe"],
        "price": [100.0, 100.0, 1.0],
        "depth": [10.0, math.inf, 5.0],
    },
    "terms": {"platform": ["Aave", "Aave"], "mode": ["", "e"], "asset": ["BTC", "BTC"], "weight": [0.7, 0.8]},
    "oracles": {
        "platform": ["Aave", "Aave"],
        "asset": ["BTC", "BTC"],
        "market": ["Aave:BTC", ""],
        "weight": [0.25, 0.75],
        "value": [math.nan, 99.0],
    },
    "routes": {
        "platform": ["Aave", "Aave"],
        "asset": ["BTC", "BTC"],
        "market": ["Aave:BTC", "Binance:BTC"],
        "share": [0.1, 0.9],
    },
    "accounts": {"account": ["a", "b"], "platform": ["Aave", "Binance"], "call_policy": ["fund", "none"]},
    "positions": {
        "account": ["a", "b", "b"],
        "asset": ["BTC", "USDe", "BTC"],
        "side": ["collateral", "debt", "perp"],
        "quantity": [1.0, 2.0, -3.0],
        "entry_price": [math.nan, math.nan, 100.0],
    },
    "claims": {"creditor": ["a", "fund"], "debtor": ["Binance", "Binance"], "amount": [1.0, 2.0]},
    "quotes": {"account": ["b"], "market": ["Aave:BTC"], "depth": [5.0]},
    "funding": {"account": ["a"], "source": ["b"]},
    "arbitrage": {"market_a": ["Aave:BTC"], "market_b": ["Binance:BTC"], "depth": [3.0]},
}


def good(**changes: dict[str, list[Any]]) -> System:
    """The valid system with whole columns exchanged."""
    return System(**{table: pd.DataFrame(columns | changes.get(table, {})) for table, columns in GOOD.items()})


def test_a_valid_system_has_no_problems() -> None:
    assert problems(good()) == []
    validate(good(), Scenario(shocks={"BTC": 0.5, "Binance:BTC": 0}, depth={"Aave": 0, "USDe": 2}, losses={"fund": 1}))


def test_an_empty_system_has_no_problems() -> None:
    assert problems(System(), Scenario()) == []


def test_generated_systems_are_valid() -> None:
    assert problems(*generate.system(accounts=300, seed=1)) == []


def test_unknown_account_and_nan_quantity_are_named() -> None:
    frame = pd.DataFrame(
        {"account": ["a", "b"], "asset": ["A", "A"], "side": "collateral", "quantity": ["nan", "1"]}, dtype="str"
    )
    system = System(
        nodes=pd.DataFrame({"node": ["n"]}),
        assets=pd.DataFrame({"asset": ["A"]}),
        accounts=pd.DataFrame({"account": ["a"], "platform": ["n"]}),
        positions=frame,
    )
    with pytest.raises(ct.InputError) as caught:
        validate(system)
    assert caught.value.problems == (
        "positions row 1 (account 'a'): quantity 'nan' is not a number; give a number, !=0; >0 unless perp (units)",
        "positions row 2 (account 'b'): account 'b' is not in accounts; add it, or mend the name",
    )


CASES: list[tuple[str, dict[str, list[Any]], str]] = [
    ("nodes", {"recovery_rate": [1.5, 1, 1]}, "nodes row 1 (node 'Aave'): recovery_rate 1.5 is out of range; "),
    ("nodes", {"buffer": [0, -1, -2]}, "nodes rows 2 (node 'Binance'), 3 (node 'fund'): buffer -1, -2 is out of range"),
    ("nodes", {"buffer": [0, math.inf, 0]}, "buffer inf is out of range; give a number, >=0 (USD)"),
    ("nodes", {"kind": ["protocol", "exchnage", ""]}, "kind 'exchnage' is not allowed; give one of exchange, protocol"),
    ("nodes", {"kind": ["protocol", "exchnage", ""]}, "(did you mean 'exchange'?)"),
    ("nodes", {"liquidation_level": [0, 1, 1]}, "liquidation_level 0 is out of range; give a number, >0 (ratio)"),
    ("nodes", {"call_level": [0.9, 1, math.nan]}, "call_level 0.9 is below liquidation_level; give at least"),
    ("nodes", {"target_level": [2, 1, 0.99]}, "row 3 (node 'fund'): target_level 0.99 is below liquidation_level"),
    (
        "nodes",
        {"node": ["Aave", "Binance", "Aave"]},
        "nodes row 3 (node 'Aave'): node 'Aave' is the name of an earlier",
    ),
    ("nodes", {"node": ["Aave", "Binance", ""]}, "nodes row 3 (node ''): node '' is missing; give a name"),
    ("nodes", {"recovry_rate": [0, 0, 0]}, "nodes: there is no column 'recovry_rate' (did you mean 'recovery_rate'?)"),
    ("nodes", {"Kind": ["exchange"] * 3}, "nodes: there is no column 'Kind' (did you mean 'kind'?); rename it"),
    ("nodes", {"liabilitys": [1, 1, 1]}, "(did you mean 'liabilities'?)"),
    ("assets", {"issuer": ["", "fnud"]}, "assets row 2 (asset 'USDe'): issuer 'fnud' is not in nodes; add it, or mend"),
    ("assets", {"issuer": ["", "fnud"]}, "(did you mean 'fund'?)"),
    (
        "markets",
        {"price": [0, 100, 1]},
        "markets row 1 (market 'Aave:BTC'): price 0 is out of range; give a number, >0",
    ),
    ("markets", {"price": [1, math.inf, 1]}, "row 2 (market 'Binance:BTC'): price inf is out of range"),
    ("markets", {"price": [1, math.nan, 1]}, "row 2 (market 'Binance:BTC'): price nan is missing; give a number, >0"),
    ("markets", {"price": [1, "1,5", 1]}, "price '1,5' is not a number; give a number, >0 (USD per unit)"),
    ("markets", {"price": [math.nan] * 3}, "markets: required column price is missing, or empty (nan) in all rows"),
    ("markets", {"depth": [-math.inf, 1, 1]}, "depth -inf is out of range; give a number, >=0 or inf (USD)"),
    ("markets", {"floor": [0, 1, 1.1]}, "floor 0, 1.1 is out of range; give a number, above 0, at most 1 (share)"),
    ("markets", {"pegged_to": ["", "Binance:BTC", ""]}, "row 2 (market 'Binance:BTC'): pegged_to 'Binance:BTC' leads"),
    (
        "markets",
        {"pegged_to": ["Binance:BTC", "Aave:BTC", "Aave:BTC"]},
        "markets rows 1 (market 'Aave:BTC'), 2 (market",
    ),
    (
        "terms",
        {"mode": ["", ""]},
        "terms row 2 (platform 'Aave', asset 'BTC'): asset 'BTC' repeats an earlier row with",
    ),
    ("terms", {"weight": [0.7, 1.01]}, "weight 1.01 is out of range; give a number, 0 to 1 (share)"),
    ("oracles", {"weight": [0.25, 0.7]}, "oracles row 1 (platform 'Aave', asset 'BTC'): sum of weight 0.95 is not 1"),
    ("oracles", {"weight": [1, 0]}, "weight 0 is out of range"),
    (
        "oracles",
        {"value": [math.nan, math.nan]},
        "oracles row 2 (platform 'Aave', asset 'BTC'): market '' is empty and",
    ),
    (
        "oracles",
        {"market": ["", ""], "value": [1, 2]},
        "market '' repeats an earlier row with the same platform, asset",
    ),
    ("routes", {"share": [0.1, 0.9 + 1e-8]}, "sum of share 1.0000000100000002 is not 1; make the shares of"),
    (
        "routes",
        {"market": ["Binance:BTC"] * 2},
        "routes row 2 (platform 'Aave', asset 'BTC'): market 'Binance:BTC' rep",
    ),
    (
        "accounts",
        {"platform": ["Aave", "Binanec"]},
        "platform 'Binanec' is not in nodes; add it, or mend the name (did",
    ),
    ("accounts", {"cash": [math.inf, 0]}, "cash inf is out of range; give a number, any finite number (USD)"),
    ("accounts", {"stop_loss": [2, math.nan]}, "accounts row 1 (account 'a'): stop_loss 2 is out of range"),
    ("positions", {"quantity": [0, 1, 1]}, "positions row 1 (account 'a'): quantity 0 holds nothing"),
    ("positions", {"quantity": [-1, 1, -1]}, "positions row 1 (account 'a'): quantity -1 is negative without being a"),
    ("positions", {"quantity": [1, math.nan, 1]}, "positions row 2 (account 'b'): quantity nan is missing"),
    (
        "positions",
        {"entry_price": [1.0, 1, math.nan]},
        "row 3 (account 'b'): entry_price nan is missing; give a number",
    ),
    ("positions", {"side": ["collateral", "debt", "future"]}, "side 'future' is not allowed; give one of collateral"),
    ("positions", {"account": ["a", "b", ""]}, "positions row 3 (account ''): account '' is missing; give the name of"),
    ("claims", {"creditor": ["x", "fund"]}, "creditor 'x' is not in nodes or accounts"),
    ("claims", {"creditor": ["Binance", "a"]}, "creditor 'Binance' is the debtor itself"),
    ("claims", {"debtor": ["Binance", "a"]}, "claims row 2 (creditor 'fund', debtor 'a'): debtor 'a' is not in nodes"),
    ("accounts", {"account": ["a", "fund"]}, "creditor 'fund' is a node and an account; rename one of the two"),
    ("quotes", {"withdrawn_at": [1.0]}, "quotes row 1 (account 'b', market 'Aave:BTC'): withdrawn_at 1 is not below"),
    ("quotes", {"depth": [math.inf]}, "depth inf is out of range"),
    ("funding", {"source": ["a"]}, "funding row 1 (account 'a', source 'a'): source 'a' is the called account itself"),
    (
        "funding",
        {"account": ["a", "a"], "source": ["b", "b"]},
        "funding row 2 (account 'a', source 'b'): source 'b' rep",
    ),
    ("arbitrage", {"market_b": ["Aave:BTC"]}, "market_b 'Aave:BTC' is market_a itself"),
    ("arbitrage", {"market_b": ["Binance:USDe"]}, "market_b 'USDe against BTC' trades another asset than market_a"),
    (
        "arbitrage",
        {"market_a": ["Aave:BTC", "Binance:BTC"], "market_b": ["Binance:BTC", "Aave:BTC"], "depth": [1, 1]},
        "arbitrage row 2 (market_a 'Binance:BTC', market_b 'Aave:BTC'): market_b 'Aave:BTC' is linked to market_a by",
    ),
]


@pytest.mark.parametrize(("table", "columns", "message"), CASES, ids=[f"{t}-{list(c)}" for t, c, _ in CASES])
def test_every_rule_names_table_row_value_and_cure(table: str, columns: dict[str, list[Any]], message: str) -> None:
    changed = {name: columns.get(name, GOOD[table].get(name)) for name in [*GOOD[table], *columns]}
    height = max(len(cells) for cells in columns.values())
    fitted = {name: (cells or [])[:height] for name, cells in changed.items()}
    system = good().with_table(table, pd.DataFrame(fitted))
    found = problems(system)
    assert any(message in problem for problem in found), found


def test_all_problems_are_collected_in_one_error() -> None:
    system = good(nodes={"buffer": [-1, 0, 0]}, quotes={"market": ["Aave:BTX"]})
    with pytest.raises(ct.InputError, match="2 problems") as caught:
        validate(system)
    assert len(caught.value.problems) == 2
    assert "did you mean 'Aave:BTC'" in str(caught.value)
    assert str(caught.value).startswith("system: ")


def test_five_rows_are_shown_and_the_rest_counted() -> None:
    positions = pd.DataFrame({"account": ["x"] * 40 + ["y"], "asset": "BTC", "quantity": 1.0})
    (problem,) = problems(good().with_table("positions", positions))
    shown = "1 (account 'x'), 2 (account 'x'), 3 (account 'x'), 4 (account 'x'), 41 (account 'y')"
    assert problem.startswith(f"positions rows {shown} and 36 more: account 'x', 'y' is not in accounts")


def test_hints_name_each_of_several_misspelt_names() -> None:
    accounts = {"platform": ["Aavee", "Binanec"]}
    (problem,) = problems(good(accounts=accounts))
    assert problem.endswith("mend the name: 'Aavee' (did you mean 'Aave'?), 'Binanec' (did you mean 'Binance'?)")


def test_missing_columns_are_one_problem_a_table() -> None:
    system = good().with_table("quotes", pd.DataFrame({"account": ["b", "b"]}))
    expected = "quotes: required columns market, depth are missing, or empty (nan) in all rows; add values"
    assert problems(system) == [expected]


def test_an_extra_column_is_no_problem_if_the_one_it_resembles_is_in_use() -> None:
    assert problems(good(markets={"depth_2": [1, 2, 3], "note": ["x", "y", "z"]})) == []
    found = problems(good(nodes={"buffer_": [1, 2, 3], "buffer": [0, 0, 0]}))
    assert found == ["nodes: there is no column 'buffer_' (did you mean 'buffer'?); rename it, or remove it"]


def test_empty_optional_cells_and_two_markets_of_one_asset_at_a_venue_are_allowed() -> None:
    markets = {"market": ["m1", "m2", "m3"], "venue": ["Aave"] * 3, "asset": ["BTC"] * 3, "price": [1] * 3}
    system = System(
        nodes=pd.DataFrame({"node": ["Aave"]}),
        assets=pd.DataFrame({"asset": ["BTC"]}),
        markets=pd.DataFrame(markets | {"pegged_to": ["m2", "m3", ""]}),
    )
    assert problems(system) == []


def test_sums_within_a_billionth_are_one() -> None:
    assert problems(good(routes={"share": [0.1, 0.9 + 5e-10]})) == []


def test_a_name_among_many_is_found_by_one_changed_character() -> None:
    names = pd.Series([f"account-{number:06d}" for number in range(20_000)], dtype="str")
    assert "'account-001234'" in suggestion("account-0001234", names)
    assert "'account-001234'" in suggestion("Account-001234", names)
    assert "'account-012345'" in suggestion("acount-012345", names)
    assert "'account-012345'" in suggestion("acocunt-012345", names)
    assert suggestion("nothing alike", names) == ""
    assert suggestion("x" * 200, names) == ""


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (Scenario(shocks={"Binance:BTX": 0.1}), "shocks of 'Binance:BTX' (did you mean 'Binance:BTC' or"),
        (Scenario(shocks={"BTC": 1.0}), "scenario: shocks of 'BTC' is 1.0; give a drop of at least 0 and below 1"),
        (Scenario(shocks={"BTC": -0.1}), "shocks of 'BTC' is -0.1"),
        (Scenario(depth={"fnd": 1}), "depth of 'fnd' (did you mean 'fund'?): not a market, a venue or an asset"),
        (Scenario(depth={"Aave": math.inf}), "depth of 'Aave' is inf; give a finite factor of at least 0"),
        (Scenario(losses={"BTC": 1}), "losses of 'BTC': not a node; mend the name, or drop it"),
        (Scenario(losses={"fund": -1}), "losses of 'fund' is -1.0; give a finite number of at least 0 (USD)"),
        (Scenario(arbitrage=-1), "arbitrage is -1; give a finite factor"),
        (Scenario(arbitrage=math.inf), "arbitrage is inf"),
        (Scenario(shocks={f"x{n}": 0.1 for n in range(8)}), "'x4' and 3 more"),
    ],
)
def test_scenario_problems(scenario: Scenario, message: str) -> None:
    (problem,) = problems(good(), scenario)
    assert message.replace(" or", "") in problem.replace(" or", "")
    with pytest.raises(ct.InputError):
        validate(good(), scenario)


def test_validation_is_vectorised() -> None:
    system, _ = generate.system(accounts=20_000, seed=0)
    names = system.positions["account"].to_numpy(dtype=object).copy()
    names[np.arange(0, names.size, 2)] = "nobody"
    (problem,) = problems(system.with_table("positions", system.positions.assign(account=names)))
    assert f"and {(names.size + 1) // 2 - 5} more" in problem


def test_sums_are_checked_whatever_the_order_of_rows_and_left_alone_where_a_cell_is_missing() -> None:
    markets = ["Binance:BTC", "Binance:BTC", "Aave:BTC"]
    oracles = {"platform": ["Aave", "Binance", "Aave"], "asset": "BTC", "market": markets, "value": math.nan}
    frame = pd.DataFrame(oracles | {"weight": [0.5, 1.0, 0.4]})
    (problem,) = problems(good().with_table("oracles", frame))
    assert problem.startswith("oracles row 1 (platform 'Aave', asset 'BTC'): sum of weight 0.9 is not 1")
    frame["weight"] = pd.Series([0.5, 1.0, "?"], dtype="str")
    (problem,) = problems(good().with_table("oracles", frame))
    assert "'?' is not a number" in problem


def test_many_claims_and_links_are_checked_on_codes() -> None:
    claims: dict[str, list[Any]] = {
        "creditor": ["a", "Aave", "a"],
        "debtor": ["Binance"] * 3,
        "amount": [1.0, 2.0, 3.0],
    }
    assert problems(good(claims=claims)) == []
    accounts = good().accounts
    twin = pd.concat([accounts, accounts.head(1).assign(account="Aave")])
    (problem,) = problems(good(claims=claims).with_table("accounts", twin))
    assert problem == (
        "claims row 2 (creditor 'Aave', debtor 'Binance'): creditor 'Aave' is a node and an account; rename one of the "
        "two"
    )
    ends = ["Aave:BTC", "Binance:BTC"]
    links: dict[str, list[Any]] = {"market_a": ends, "market_b": ends[::-1], "depth": [1.0, 1.0]}
    (problem,) = problems(good(arbitrage=links))
    assert "is linked to market_a by an earlier row" in problem
