"""Bundled systems and their scenarios, read from package data and never from the web."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

from contagion import schema
from contagion.errors import InputError
from contagion.io import read_system
from contagion.scenario import Scenario, read_scenario
from contagion.system import System

__all__ = ["load", "names"]


def names() -> tuple[str, ...]:
    """Return the names of the bundled data sets, sorted.

    Examples
    --------
    >>> names()
    ('loop_lending', 'october_2025')
    """
    return tuple(sorted(entry.name for entry in _home().iterdir() if entry.joinpath("nodes.csv").is_file()))


def load(name: str) -> tuple[System, dict[str, Scenario]]:
    """Return a bundled system and its scenarios.

    Parameters
    ----------
    name : str
        One of `names`; the file ``SOURCES.md`` beside the tables says where every figure comes from.

    Returns
    -------
    system : System
        Tables as they stand before anything happens.
    scenarios : dict of str to Scenario
        By name, the main case first.

    Raises
    ------
    InputError
        If there is no data set of that name.

    Examples
    --------
    A loop of five rounds at 80 % has made 368,928 USD of collateral out of 100,000 USD:

    >>> system, scenarios = load("loop_lending")
    >>> int(system.positions.loc[0, "quantity"])
    368928
    >>> list(scenarios)
    ['fall_10', 'fall_25', 'wipe_out', 'thin_exit']
    """
    if name not in names():
        raise InputError(
            f"there is no data set {name!r}{schema.near_misses(name, names())}; give one of {', '.join(names())}"
        )
    with resources.as_file(_home() / name) as folder:
        system = read_system(folder)
        scenarios = [read_scenario(path) for path in sorted(folder.glob("scenario_*.toml"))]  # the number is the order
    return system, {scenario.name: scenario for scenario in scenarios}


def _home() -> Traversable:
    return resources.files("contagion") / "data"
