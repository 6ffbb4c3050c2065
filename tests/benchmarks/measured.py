"""One size of the table, in a process of its own: ``python -m tests.benchmarks.measured 1000000`` prints it as JSON."""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

import contagion as ct
from contagion.arrays import lower
from contagion.kernels import Inputs, iterate, settle
from contagion.kernels.chunks import COMPILED_FROM

_T = TypeVar("_T")

_FALL = 0.1
"""Standard deviation of the falls that the sweep draws."""

_GIGA = 1e9


def main() -> None:
    """Measure one size and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("accounts", type=int)
    parser.add_argument("--scenarios", type=int, default=20, help="scenarios of the sweep; 0 leaves it out")
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.accounts, given.scenarios)) + "\n")


def measure(accounts: int, scenarios: int) -> dict[str, float]:
    """Return what one size takes: seconds, GB/s and GB; the compiled pass is loaded by a small system first."""
    _warm_up(accounts)
    made, tables = timed(lambda: ct.generate.system(accounts=accounts, seed=7))
    system, scenario = tables
    row: dict[str, float] = {"accounts": accounts, "positions": len(system.positions), "generate": made}
    row |= _steps(system, scenario)
    row |= _whole(system, scenario)
    if scenarios:
        row |= _sweep(system, scenarios, row["solve"])
    if row["positions"] >= COMPILED_FROM:  # smaller systems live in the caches
        from tests.benchmarks.triad import triad_rates  # loads the compiler

        one, every = triad_rates()
        row |= {"triad_one": one, "triad_all": every, "of_triad": row["pass_rate"] / every}
    return row


def timed(work: Callable[[], _T], repeats: int = 1) -> tuple[float, _T]:
    """Return the least seconds of a few calls, and what the last one returned."""
    least = np.inf
    for _ in range(repeats):
        begun = time.perf_counter()
        found = work()
        least = min(least, time.perf_counter() - begun)
    return float(least), found


def _repeats(accounts: int) -> int:
    return 3 if accounts <= 100_000 else 1


def _warm_up(accounts: int) -> None:
    """Compile, or load what was compiled before: once a process, and no part of any size."""
    small = ct.generate.system(accounts=45_000 if accounts >= 40_000 else 100, seed=1)
    ct.attribute(ct.solve(*small))


def _steps(system: ct.System, scenario: ct.Scenario) -> dict[str, float]:
    repeats = _repeats(len(system.accounts))
    checking, _ = timed(lambda: ct.validate(system, scenario), repeats)
    lowering, (inputs, _) = timed(lambda: lower(system, scenario), repeats)
    running, run = timed(lambda: iterate(inputs, 1e-12, 20_000), repeats)
    settling, _ = timed(lambda: settle(inputs, run.state), repeats)
    rounds = len(run.records)
    return {
        "check": checking,
        "lower": lowering,
        "rounds": rounds,
        "rounds_seconds": running,
        "round": running / rounds,
        "settle": settling,
        "pass_rate": traffic(inputs) / (running / rounds) / _GIGA,
        "liquidated": run.records[-1].liquidated_count / len(system.accounts),
    }


def traffic(inputs: Inputs) -> int:
    """Return the bytes that a pass cannot do without: index and quantity of a position, two numbers an account."""
    held = inputs.positions.quantity
    index = 2 if held.shape[1] <= 1 << 16 else 4
    return int(held.nnz * (8 + index) + held.shape[0] * 12)


def _whole(system: ct.System, scenario: ct.Scenario) -> dict[str, float]:
    gc.collect()
    _forget_peak()
    before = _peak()
    solving, solution = timed(lambda: ct.solve(system, scenario), _repeats(len(system.accounts)))
    solved = _peak()
    attributing, _ = timed(lambda: ct.attribute(solution).residual)
    return {
        "solve": solving,
        "attribute": attributing,
        "attribute_ratio": attributing / solving,
        "tables_memory": before,
        "solve_memory": solved,
        "memory": _peak(),
    }


def _sweep(system: ct.System, scenarios: int, solving: float) -> dict[str, float]:
    """Return what one more scenario takes: a sweep of a few, less what a sweep of one takes."""
    assets = [name for name in system.assets["asset"] if name != "USD"]
    covariance = pd.DataFrame(_FALL**2 * (0.5 + 0.5 * np.eye(len(assets))), index=assets, columns=assets)
    drawn = {count: ct.gaussian_draws(count, covariance, seed=3) for count in (1, 1 + scenarios)}
    taken = {count: timed(partial(ct.sweep, system, draws, ["loss"]))[0] for count, draws in drawn.items()}
    each = (taken[1 + scenarios] - taken[1]) / scenarios
    if each <= 0.0:  # neighbours on the machine took longer than the scenarios
        return {}
    return {"sweep_rate": 1.0 / each, "sweep_ratio": each / solving}


def _forget_peak() -> None:
    """Start the peak of resident memory anew, where the system can."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def _peak() -> float:
    """Return the peak of resident memory, GB."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) * 1024 / _GIGA
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GIGA


if __name__ == "__main__":
    main()
