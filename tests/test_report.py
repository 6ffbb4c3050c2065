"""A solved scenario on disk; the files of a whole run are tested with the command line."""

import json
import math
from collections.abc import Mapping

import numpy as np
import pytest

import contagion as ct
from contagion import report


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
