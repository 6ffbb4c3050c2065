"""A solved scenario on disk; the files of a whole run are tested with the command line."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import report
from tests.systems import to_system
from tests.test_loss_graph import TABLES


def test_numbers_that_are_not_finite_become_null(monkeypatch: pytest.MonkeyPatch) -> None:
    system, scenarios = ct.datasets.load("loop_lending")
    solution = ct.solve(system, next(iter(scenarios.values())))
    totals: Mapping[str, float] = {"loss": math.nan, "liquidated": np.float64("inf"), "deficit": 1.0}
    monkeypatch.setattr(type(solution), "totals", totals)
    record = json.loads(json.dumps(report.record(solution), allow_nan=False))
    assert record["totals"] == {"loss": None, "liquidated": None, "deficit": 1.0}


def test_overrides_are_recorded_as_they_can_be_read_again() -> None:
    system, _ = ct.datasets.load("loop_lending")
    market = system.markets["market"].iloc[0]
    given = {"depth": math.inf, "floor": None, "price": np.float64(1.0), "impact": "linear"}
    override = ct.Override("markets", {"market": market}, given)
    record = report.record(ct.solve(system, ct.Scenario(overrides=(override,))))
    (written,) = json.loads(json.dumps(record, allow_nan=False))["scenario"]["override"]
    assert written["set"] == {"depth": "inf", "floor": "", "price": 1.0, "impact": "linear"}
    assert ct.Override(**written).apply(system) == override.apply(system)


def odd_systems() -> dict[str, ct.Solution]:
    """Return solutions of systems that lack something, or in which names collide."""
    lonely = ct.System(nodes=pd.DataFrame({"node": ["b"]}))
    claims = pd.DataFrame({"creditor": ["b"], "debtor": ["c"], "amount": [5.0]})
    banks = ct.System(nodes=pd.DataFrame({"node": ["b", "c"], "liabilities": [0.0, 5.0]}), claims=claims)
    alike = to_system({**TABLES, "nodes": [*TABLES["nodes"], {"node": "x:A"}]})
    accounts = [
        {"account": "a", "platform": "x", "group": "a @ b"},
        {"account": "q", "platform": "b @ x", "group": "a"},
    ]
    joined = to_system({**TABLES, "nodes": [*TABLES["nodes"], {"node": "b @ x"}], "accounts": accounts})
    fall = ct.Scenario(shocks={"A": 0.1})
    return {
        "empty": ct.solve(ct.System()),
        "one node": ct.solve(lonely),
        "claims alone": ct.solve(banks, ct.Scenario(losses={"c": 3.0})),
        "a node and a market of one name": ct.solve(alike, fall),
        "two groups of one name": ct.solve(joined, fall),
        "not converged": ct.solve(to_system(TABLES), fall, max_rounds=1, on_failure="return"),
    }


def test_odd_systems_are_reported_in_full(tmp_path: Path) -> None:
    for name, solution in odd_systems().items():
        written = report.write_report(solution, tmp_path / name)
        assert len(written) == len({file.name for file in written}) == 27, name
        ranked = pd.read_csv(tmp_path / name / "ranking.csv")
        assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1)), name


def test_a_timeline_reads_back(tmp_path: Path) -> None:
    told = ct.timeline(odd_systems()["a node and a market of one name"])
    written = {file.name: file for file in report.write_timeline(told, tmp_path / "deep" / "er")}
    assert written.pop("story.txt").read_text("utf-8") == f"{told.story()}\n"
    assert set(written) == {f"timeline_{name}.csv" for name in ("rounds", "markets", "platforms", "triggers", "nodes")}
    for name, file in written.items():
        table = getattr(told, name.removeprefix("timeline_").removesuffix(".csv"))
        again = pd.read_csv(file, index_col=0)
        assert again.columns.tolist() == table.columns.tolist()
        assert again.shape == table.shape
        numbers = table.select_dtypes("number").columns
        np.testing.assert_array_equal(again[numbers].to_numpy(dtype=float), table[numbers].to_numpy(dtype=float))


def test_an_attribution_is_written_with_what_softened_it_and_how_it_reads(tmp_path: Path) -> None:
    system, scenarios = ct.datasets.load("october_2025")
    found = ct.attribute(ct.solve(system, scenarios["mild"]))
    report.write_attribution(found, tmp_path)
    assert (tmp_path / "reading.txt").read_text("utf-8") == f"{found.reading}\n"
    softened = pd.read_csv(tmp_path / "mitigated.csv", index_col="row")
    assert len(softened) == len(found.mitigated)
    assert softened["mitigated"].tolist() == found.mitigated["mitigated"].tolist()
    opening = pd.read_csv(tmp_path / "opening.csv", index_col="account")
    assert opening.columns.tolist() == ["usd", "share"]
    assert opening["usd"].sum() == pytest.approx(found.sources.loc["opening", "usd"], abs=1e-6)


def test_groups_whose_names_collide_stay_apart() -> None:
    ranked = ct.rank(odd_systems()["two groups of one name"])
    groups = ranked[ranked["type"] == "group"]
    assert set(groups.index) == {"a @ b @ x", "a @ b @ x (2)"}
    assert sorted(groups["throughput"] > 0.0) == [False, True]
