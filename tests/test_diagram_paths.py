"""The causal chain: what flows between roles, what is folded, and what the picture says."""

import dataclasses
import html
import re

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion.attribution import attribute, feedback
from contagion.diagram import draw_paths
from contagion.diagram.path_fold import STAGES, fold, partition, strongest, weights
from contagion.diagram.paths import chain
from contagion.diagram.roles import Roles, roles
from contagion.money import percent
from tests.systems import draw as random_system
from tests.systems import to_system
from tests.test_loss_graph import TABLES


def worked() -> ct.Solution:
    """The worked example of one market and one account: loss 1.8656, of it 1.5964 by the shock."""
    return ct.solve(to_system(TABLES), ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}))


@pytest.fixture(scope="module")
def october() -> dict[str, ct.Attribution]:
    system, scenarios = ct.datasets.load("october_2025")
    return {name: attribute(ct.solve(system, scenarios[name])) for name in ("record", "narrative")}


def unbalanced(found: Roles) -> float:
    """Return the largest difference between what comes in and what goes out or ends, over all boxes but sources."""
    into, out = np.zeros(len(found.boxes)), np.zeros(len(found.boxes))
    np.add.at(into, found.flows["effect"].to_numpy(), found.flows["usd"].to_numpy())
    np.add.at(out, found.flows["cause"].to_numpy(), found.flows["usd"].to_numpy())
    inside = (found.boxes["type"] != "source").to_numpy()
    return float(np.abs(into - out - found.boxes["borne"].to_numpy())[inside].max(initial=0.0))


def label(source: str, node: str) -> str:
    """Return the words of the label of a node in DOT text."""
    line = next(line for line in source.splitlines() if line.strip().startswith(f"{node} ["))
    return html.unescape(" | ".join(re.findall(r">([^<>]+)<", line)))


@pytest.mark.parametrize("shorts", [True, False])
def test_flows_are_conserved_at_every_role(shorts: bool) -> None:
    for seed in range(40):
        found = attribute(ct.solve(*random_system(seed, shorts=shorts)))
        every = roles(found)
        scale = max(float(every.flows["usd"].abs().sum()), 1e-300)
        assert unbalanced(every) <= 1e-9 * scale, seed
        assert every.boxes["borne"].sum() == pytest.approx(found.total, rel=1e-9, abs=1e-9 * scale), seed
        sources = every.boxes.loc[every.boxes["type"] == "source", "usd"]
        assert sources.sum() == pytest.approx(found.total, rel=1e-9, abs=1e-9 * scale), seed


def test_a_market_hit_and_pushed_has_both_boxes() -> None:
    boxes = roles(attribute(worked())).boxes
    both = boxes[boxes["name"] == "x:A"].set_index("type")["usd"]
    assert set(both.index) == {"hit", "pushed"}
    assert both["hit"] == pytest.approx(1.8656125, rel=1e-7)  # all that the sources put in: both act on its price
    assert both.sum() == pytest.approx(0.2058639 * 6.3521306 + 0.1551914 * 8.7995399, rel=1e-6)  # u·y of both prices


def test_folding_conserves_money(october: dict[str, ct.Attribution]) -> None:
    found = october["record"]
    every = roles(found)
    few, into = fold(every, partition(every.boxes, weights(every, found.total)))
    assert len(few.boxes) < len(every.boxes)
    assert few.boxes["members"].sum() == len(every.boxes)
    assert few.boxes["borne"].sum() == pytest.approx(found.total, rel=1e-12)
    assert unbalanced(few) <= 1e-9 * found.total
    kinds = few.boxes["type"].value_counts()
    assert all(kinds.get(stage, 0) <= most for stage, most in STAGES.items())
    kept = into[every.flows["cause"]] != into[every.flows["effect"]]
    assert few.flows["usd"].sum() == pytest.approx(every.flows.loc[kept, "usd"].sum(), rel=1e-12)


def test_the_strongest_flows_reach_every_box() -> None:
    flows = pd.DataFrame({"cause": [0, 0, 1, 1, 2], "effect": [1, 2, 2, 2, 3], "usd": [9.0, -8.0, 7.0, 6.0, 0.1]})
    flows["channel"] = ["mark", "mark", "mark", "cost", "mark"]
    none = np.zeros(5, dtype=bool)
    assert strongest(flows, 4, none)["usd"].tolist() == [9.0, -8.0, 7.0, 0.1]
    assert strongest(flows, 5, none).equals(flows)
    assert strongest(flows, 4, flows["usd"].to_numpy() == 6.0).equals(flows)


def test_shares_are_those_of_the_attribution() -> None:
    found = attribute(worked())
    source = draw_paths(found).source
    for number, name in enumerate(("depth:x", "shock:A"), start=1):
        said = label(source, f"source{number}")
        assert name in said
        assert percent(float(found.sources["share"][name])) in said
    shocks = found.edges[found.edges["cause_type"] == "source"]
    assert all(f">{percent(share)}<" in source.replace("<B>", "").replace("</B>", "") for share in shocks["share"])
    assert "bears 100%" in source


def test_badges_are_loop_gains(october: dict[str, ct.Attribution]) -> None:
    found = october["record"]
    boxes = chain(found).boxes
    gain = feedback(found)["amplification"]
    alone = boxes[(boxes["members"] == 1.0) & boxes["type"].isin(["passing", "pushed"])]
    np.testing.assert_allclose(alone["gain"], gain[alone["name"]], rtol=1e-12)
    assert (boxes["gain"] >= 1.0 - 1e-9).all()
    assert f">×{gain['market maker @ Binance']:.1f}<" in draw_paths(found).source
    assert "gain_" not in draw_paths(ct.solve(*loop_lending())).source


def loop_lending() -> tuple[ct.System, ct.Scenario]:
    system, scenarios = ct.datasets.load("loop_lending")
    return system, scenarios["fall_25"]


def test_columns_run_from_shocks_to_losers(october: dict[str, ct.Attribution]) -> None:
    for found in october.values():
        picture = chain(found)
        assert picture.columns[:5] == ("shocks", "prices hit", "who passes it on", "prices they push", "who loses")
        order = picture.boxes.groupby("type")["column"].agg(["min", "max"])
        assert (order["min"] == order["max"]).all()
        assert order.loc[["source", "hit", "passing", "pushed", "losing"], "min"].tolist() == [0, 1, 2, 3, 4]
        assert len(picture.boxes) <= 30
        assert len(picture.edges) <= 43


def test_what_the_record_cuts(october: dict[str, ct.Attribution]) -> None:
    record, narrative = (chain(october[name]) for name in ("record", "narrative"))
    name = record.boxes["name"]
    cut = record.edges[record.edges["channel"] == "cut"]
    assert ("Binance:USDe", "loop @ Aave") in set(zip(name[cut["cause"]], name[cut["effect"]], strict=True))
    assert any("fixed oracle" in line and "loop @ Aave" in line for line in record.remarks)
    assert not (narrative.edges["channel"] == "cut").any()
    told = narrative.boxes["name"]
    flows = narrative.edges[narrative.edges["channel"] == "liquidation"]
    assert ("Binance:USDe", "loop @ Aave") in set(zip(told[flows["cause"]], told[flows["effect"]], strict=True))


def test_names_on_the_largest_paths_have_boxes(october: dict[str, ct.Attribution]) -> None:
    found = october["record"]
    picture = chain(found, k=1)
    names = set(ct.paths(found, k=1)["path"].iloc[0])
    assert names - set(picture.boxes["name"]) <= {name for name in names if name.startswith(("Binance:", "Bybit:"))}
    assert any("largest path" in line for line in picture.remarks)


def test_nothing_happened() -> None:
    system, _ = loop_lending()
    source = draw_paths(ct.solve(system, ct.Scenario())).source
    assert "nothing happened" in source
    assert "->" not in source


def test_the_same_text_for_any_row_order() -> None:
    for seed in range(6):
        system, scenario = random_system(seed)
        tables = {field.name: getattr(system, field.name) for field in dataclasses.fields(system)}
        order = tables.pop("funding")  # the order in which calls ask for money
        mixed = {name: table.sample(frac=1.0, random_state=seed) for name, table in tables.items()}
        shuffled = ct.System(**mixed, funding=order)
        assert draw_paths(ct.solve(system, scenario)).source == draw_paths(ct.solve(shuffled, scenario)).source


def test_other_targets() -> None:
    source = draw_paths(attribute(worked(), target="price:x:A")).source
    assert "price:x:A 19%" in source


def test_bad_arguments() -> None:
    with pytest.raises(ct.InputError, match=r"solved is a str.*\n.*k is 0|k is 0"):
        draw_paths("solution", k=0)  # type: ignore[arg-type]
