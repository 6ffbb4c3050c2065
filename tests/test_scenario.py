import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contagion import InputError, Override, Scenario, System, read_scenario

TOML = """
name = "What if"
description = "The platform reads the market price"
arbitrage = 0.1

[shocks]
BTC = 0.12
"Binance:USDe" = 0.3

[depth]
Binance = 0.5

[losses]
fund = 1e6

[[override]]
table = "oracles"
where = { platform = "Aave", asset = "USDe" }
set = { market = "Binance:USDe", value = "" }
"""


def system() -> System:
    oracles = {"platform": ["Aave", "Aave"], "asset": ["USDe", "BTC"], "value": [1.0, 5.0]}
    nodes = {"node": ["Aave", "fund"], "buffer": [1.0, 2.0], "liabilities": [math.nan, 3.0], "kind": ["protocol", ""]}
    return System(nodes=pd.DataFrame(nodes), oracles=pd.DataFrame(oracles))


def test_a_file_holds_everything(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text("\ufeff" + TOML, "utf-8")
    scenario = read_scenario(str(path))
    assert scenario == Scenario(
        shocks={"BTC": 0.12, "Binance:USDe": 0.3},
        depth={"Binance": 0.5},
        arbitrage=0.1,
        losses={"fund": 1e6},
        overrides=(
            Override("oracles", {"platform": "Aave", "asset": "USDe"}, {"market": "Binance:USDe", "value": ""}),
        ),
        name="What if",
        description="The platform reads the market price",
    )
    oracles = scenario.apply(system()).oracles
    assert oracles["market"].tolist() == ["Binance:USDe", ""]
    assert np.isnan(oracles["value"][0])
    assert oracles["value"][1] == 5.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shoks = 1", r"unknown key 'shoks' \(did you mean 'shocks'\?\); allowed: name, description"),
        ("a:b = 1", "not a readable TOML file: .*; quote keys that hold a colon"),
        ("[shocks]\nBTC = 'much'", r"scenario: shocks\['BTC'\] is 'much'; give a number"),
        ("shocks = 0.1", "scenario: shocks is 0.1; give a mapping of name to number"),
        ("arbitrage = 'none'", "scenario: arbitrage is 'none'; give a factor"),
        ("name = 5", "scenario: name is 5; give text"),
        ("[[override]]\ntable = 'nodes'", "override 1 must hold exactly a table, and what to look for"),
        ("override = 5", "override 1 must hold exactly"),
        ("[[override]]\ntable = 'nodes'\nwhere = 'x'\nset = {kind = ''}", "override 1 must hold exactly"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_scenario(path)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file; give a scenario in TOML"):
        read_scenario(tmp_path / "absent.toml")


def test_all_wrong_parts_are_named_together() -> None:
    values: dict[str, Any] = {"a": True, "b": math.nan, "c": None}
    with pytest.raises(InputError) as caught:
        Scenario(shocks=values, arbitrage=math.nan, overrides=("x",))  # type: ignore[arg-type]
    assert len(caught.value.problems) == 5
    assert "override 'x' is not an Override" in str(caught.value)


def test_numbers_of_numpy_are_numbers_and_keys_are_text_in_order() -> None:
    scenario = Scenario(shocks={"b": np.float64(0.5), "a": np.int64(0)}, losses={7: 1})  # type: ignore[dict-item]
    assert list(scenario.shocks.items()) == [("a", 0.0), ("b", 0.5)]
    assert scenario.losses == {"7": 1.0}


def test_repr_shows_what_differs_from_calm() -> None:
    assert repr(Scenario()) == "Scenario()"
    assert repr(Scenario(name="x", depth={"BTC": 2})) == "Scenario(name='x', depth={'BTC': 2.0})"


def test_overrides_are_applied_in_order_and_change_nothing_in_place() -> None:
    before = system()
    first = Override("nodes", {"node": "fund"}, {"buffer": 7, "kind": "exchange"})
    second = Override("nodes", {"buffer": 7}, {"buffer": "", "kind": ""})
    assert first.apply(before).nodes["buffer"].tolist() == [1.0, 7.0]
    after = Scenario(overrides=[first, second]).apply(before)  # type: ignore[arg-type]
    assert after.nodes["buffer"].tolist() == [1.0, 0.0]
    assert after.nodes["kind"].tolist() == ["protocol", "institution"]
    assert before == system()


def test_an_empty_where_value_matches_empty_cells() -> None:
    nodes = Override("nodes", {"liabilities": ""}, {"liabilities": 9}).apply(system()).nodes
    assert nodes["liabilities"].tolist() == [9.0, 3.0]
    oracles = Override("oracles", {"market": ""}, {"value": 2.0}).apply(system()).oracles
    assert oracles["value"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (Override("node", {"node": "x"}, {"buffer": 1}), r"there is no table 'node' \(did you mean 'nodes'\?\)"),
        (Override("nodes", {"nod": "x"}, {"buffer": 1}), r"no column 'nod' \(did you mean 'node'"),
        (Override("nodes", {"node": "Aave"}, {"bufer": 1}), r"no column 'bufer' \(did you mean 'buffer'\?\)"),
        (Override("nodes", {"node": "Aave"}, {"buffer": "x"}), r"buffer = 'x' is not a number; give a number \(>=0\)"),
        (Override("nodes", {"buffer": "much"}, {"kind": ""}), "buffer = 'much' is not a number; give a number"),
        (Override("accounts", {"account": "a"}, {"cash": "nan"}), 'give a number, or "" for an empty cell'),
        (Override("nodes", {}, {"buffer": 1}), "give both `where` and `set`"),
        (Override("nodes", {"node": "Aave"}, {}), "give both `where` and `set`"),
        (Override("nodes", {"node": "aave"}, {"buffer": 1}), r"no row where node = 'aave' \(did you mean 'Aave'\?\)"),
        (Override("nodes", {"node": "Aave", "buffer": 2}, {"buffer": 1}), "no row where node = 'Aave' and buffer = 2"),
        (Override("nodes", {"kind": "protocol", "node": "fund"}, {"buffer": 1}), "fund'; add the row to the table"),
    ],
)
def test_overrides_that_fit_nothing(override: Override, message: str) -> None:
    with pytest.raises(InputError, match=message):
        override.apply(system())


def test_none_restores_the_default_and_matches_empty_cells() -> None:
    nodes = Override("nodes", {"liabilities": None}, {"buffer": None, "kind": None}).apply(system()).nodes
    assert nodes["buffer"].tolist() == [0.0, 2.0]
    assert nodes["kind"].tolist() == ["institution", "institution"]
    assert Override("oracles", {"market": None}, {"value": 2.0}).apply(system()).oracles["value"].tolist() == [2.0, 2.0]


def test_numbers_may_be_text() -> None:
    nodes = Override("nodes", {"buffer": "2"}, {"buffer": "5e8"}).apply(system()).nodes
    assert nodes["buffer"].tolist() == [1.0, 5e8]


def test_an_override_keeps_copies() -> None:
    where: dict[str, Any] = {"node": "fund"}
    new: dict[str, Any] = {"buffer": 7}
    override = Override("nodes", where, new)
    where["node"] = "nobody"
    new["buffer"] = 8
    assert override == Override("nodes", {"node": "fund"}, {"buffer": 7})


def test_an_override_of_wrong_types_names_all_of_them() -> None:
    with pytest.raises(InputError) as caught:
        Override(5, "node = x", None)  # type: ignore[arg-type]
    assert caught.value.problems == (
        "override: table is 5; give the name of a table as text",
        "override: where is 'node = x'; give a mapping of column to value",
        "override: set is None; give a mapping of column to value",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Override("nodes", {"node": "x"}, {"buffer": 1}), r"is a single Override; give a sequence of .*\[Override"),
        (5, "overrides is 5; give a sequence of Override"),
        ("nodes", "overrides is 'nodes'; give a sequence"),
        ({"table": "nodes"}, "give a sequence of Override"),
    ],
)
def test_overrides_are_a_sequence(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Scenario(overrides=given)


def test_no_overrides_may_be_none() -> None:
    assert Scenario(overrides=None) == Scenario()  # type: ignore[arg-type]


FULL = Scenario(
    shocks={"BTC": 0.1, "ETH": 0.0},
    depth={"Binance": 0.5, "Bybit": 1.5, "OKX": 0.0},
    arbitrage=0.25,
    losses={"fund": 1e6},
    overrides=(Override("nodes", {"node": "fund"}, {"buffer": 1.0}),),
    name="all",
)


def test_scaled_by_hand() -> None:
    twice, half = FULL.scaled(2), FULL.scaled(0.5)
    assert twice.shocks == pytest.approx({"BTC": 0.19, "ETH": 0.0}, rel=1e-14)
    assert half.shocks["BTC"] == pytest.approx(1 - math.sqrt(0.9), rel=1e-14)
    assert twice.depth == {"Binance": 0.25, "Bybit": 2.25, "OKX": 0.0}
    assert half.depth["Bybit"] == pytest.approx(math.sqrt(1.5), rel=1e-15)
    assert (twice.arbitrage, half.arbitrage) == (0.0625, 0.5)
    assert (twice.losses["fund"], half.losses["fund"]) == (2e6, 5e5)
    assert twice.overrides == FULL.overrides
    assert twice.name == "all"


def test_scaled_by_one_is_the_scenario_and_by_zero_nothing() -> None:
    assert FULL.scaled(1) == FULL
    nothing = FULL.scaled(0.0)
    assert set(nothing.shocks.values()) == set(nothing.losses.values()) == {0.0}
    assert math.copysign(1.0, nothing.shocks["BTC"]) == 1.0
    assert set(nothing.depth.values()) == {nothing.arbitrage} == {1.0}


@pytest.mark.parametrize(("first", "second"), [(0.3, 2.0), (3.0, 0.25), (1.7, 1.7)])
def test_scaled_twice_is_scaled_by_the_product(first: float, second: float) -> None:
    one, two = FULL.scaled(first).scaled(second), FULL.scaled(first * second)
    for part in ("shocks", "depth", "losses"):
        assert getattr(one, part) == pytest.approx(getattr(two, part), rel=1e-13)
    assert one.arbitrage == pytest.approx(two.arbitrage, rel=1e-13)


def test_a_drop_scaled_stays_below_one() -> None:
    assert 0.99 < Scenario(shocks={"BTC": 0.99}).scaled(1000.0).shocks["BTC"] < 1.0


@pytest.mark.parametrize("multiple", [-0.1, math.nan, math.inf, "2", None, True])
def test_a_bad_multiple_is_named(multiple: Any) -> None:
    with pytest.raises(InputError, match=r"multiple is .*; give a finite number of at least 0"):
        FULL.scaled(multiple)


def test_what_cannot_be_scaled_is_listed() -> None:
    wrong = Scenario(shocks={"a": 1.0, "b": -0.1, "c": 0.1}, depth={"x": -1.0, "y": 10.0}, arbitrage=math.inf)
    with pytest.raises(InputError) as caught:
        wrong.scaled(400)
    named = [problem.split(" is ")[0] for problem in caught.value.problems]
    subjects = ["shocks of 'a'", "shocks of 'b'", "depth of 'x'", "depth of 'y'", "arbitrage"]
    assert named == [f"scenario: {subject}" for subject in subjects]
