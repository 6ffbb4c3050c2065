"""Checks of systems and scenarios: one function a rule; every problem is collected before one error is raised.

Messages count rows as a reader does: the first row below the header is row 1.
"""

from __future__ import annotations

from collections.abc import Callable

from contagion.errors import InputError, instance, refuse
from contagion.scenario import Scenario
from contagion.system import System
from contagion.validate.accounts import check_claims, check_funding, check_levels, check_quantities, check_quotes
from contagion.validate.cells import (
    check_choices,
    check_columns,
    check_missing,
    check_numbers,
    check_ranges,
    extra_columns,
)
from contagion.validate.names import check_creditors, check_duplicates, check_names, check_references
from contagion.validate.pricing import (
    check_arbitrage,
    check_oracle_values,
    check_oracle_weights,
    check_pegs,
    check_route_shares,
    pegs,
)
from contagion.validate.scenarios import check_scenario

__all__ = ["CHECKS", "applied", "extra_columns", "pegs", "problems", "validate"]

CHECKS: tuple[Callable[[System], list[str]], ...] = (
    check_columns,
    check_missing,
    check_numbers,
    check_ranges,
    check_choices,
    check_names,
    check_duplicates,
    check_references,
    check_creditors,
    check_oracle_values,
    check_oracle_weights,
    check_route_shares,
    check_pegs,
    check_arbitrage,
    check_levels,
    check_quantities,
    check_quotes,
    check_funding,
    check_claims,
)
"""The rules for a system; each returns its problems as finished sentences."""


def problems(system: System, scenario: Scenario | None = None) -> list[str]:
    """Return every problem of a system and a scenario, one finished sentence each; none if all is well.

    Parameters
    ----------
    system : System
        Tables; row numbers in the sentences count from 1, the first row below the header.
    scenario : Scenario, optional
        Checked against the names of the system. Its overrides are not applied here: give
        ``scenario.apply(system)``.

    Examples
    --------
    >>> import pandas as pd
    >>> system = System(
    ...     nodes=pd.DataFrame({"node": ["bank", "fund"]}),
    ...     claims=pd.DataFrame({"creditor": ["fund"], "debtor": ["bnak"], "amount": [1.0]}),
    ... )
    >>> print(*problems(system))
    claims row 1 (creditor 'fund', debtor 'bnak'): debtor 'bnak' is not in nodes; add it, or mend the name (did you
    mean 'bank'?)
    """
    found = [problem for check in CHECKS for problem in check(system)]
    return found if scenario is None else found + check_scenario(system, scenario)


def validate(system: System, scenario: Scenario | None = None) -> None:
    """Raise one InputError that lists every problem of a system and a scenario; see `problems`.

    Raises
    ------
    InputError
        If there is any problem; ``error.problems`` has them one by one.
    """
    wrong = instance("system", system, System, "a System (of one in parts, solve checks every row)")
    refuse(wrong + instance("scenario", scenario, (Scenario, type(None)), "a Scenario, or None"), "validate")
    found = problems(system, scenario)
    if found:
        raise InputError(found, "system" if scenario is None else "system and scenario")


def applied(system: System, scenario: Scenario) -> System:
    """Return the system with a scenario's overrides, both checked; one error lists the problems of all three.

    Raises
    ------
    InputError
        If there is any problem. Where an override is at fault, the tables are checked without it.
    """
    try:
        changed = scenario.apply(system)
    except InputError as error:
        raise InputError([*error.problems, *problems(system, scenario)], "system and scenario") from None
    validate(changed, scenario)
    return changed
