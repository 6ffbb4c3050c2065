"""Between the plain rows of the oracle and the package's own types."""

from typing import Any

import numpy as np
import pandas as pd

import contagion as ct
from tests.random_systems import random_tables

Tables = dict[str, list[dict[str, Any]]]


def to_system(tables: Tables) -> ct.System:
    return ct.System(**{name: pd.DataFrame(rows) for name, rows in tables.items() if rows})


def to_scenario(scenario: dict[str, Any]) -> ct.Scenario:
    return ct.Scenario(**scenario)


def loose(frame: Any) -> Any:
    """Return the frame itself, without the opinion of pandas' stubs on what a cell may hold."""
    return frame


def draw(seed: int, shorts: bool = True) -> tuple[ct.System, ct.Scenario]:
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=shorts)
    return to_system(tables), to_scenario(scenario)
