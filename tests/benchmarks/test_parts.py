"""Memory of a solve in parts and of one in memory; run with `python -m pytest tests/benchmarks --benchmark-only`."""

import subprocess
import sys
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

import contagion as ct

PEAK = """
import resource, sys
import pandas as pd
import contagion as ct

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0

if __name__ == "__main__":
    folder, way = sys.argv[1:]
    parted = ct.open_partitioned(folder)
    names = [name for name in parted.small.assets["asset"] if name != "USD"]
    scenario = ct.Scenario(shocks=dict.fromkeys(names, 0.2), arbitrage=0.5)
    small = ct.solve(ct.generate.system(accounts=50_000)[0], scenario)  # loads the compiler and its code
    before = peak()
    if way == "whole":
        parts = [parted.part(number) for number in range(len(parted.names))]
        tables = dict(parted.small.tables()) | {
            table: pd.concat([getattr(part, table) for part in parts], ignore_index=True)
            for table in ("accounts", "positions", "claims")
        }
        del parts
        parted = ct.System(**tables)
    solution = ct.solve(parted, scenario)
    print(peak() - before, solution.totals["loss"], len(solution.rounds))
"""


def grown(folder: Path, way: str) -> tuple[float, float]:
    """Return by how many MB the memory of a process grew over a solve, and the loss."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder), way], capture_output=True, text=True, check=True
    ).stdout.split()
    return float(done[0]), float(done[1])


def test_a_solve_in_parts_takes_the_memory_of_a_part(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Four million positions in sixteen parts: at most a quarter of the memory of the whole, and the same loss."""
    folder = tmp_path / "parts"
    ct.generate.partitioned(folder, accounts=1_600_000, seed=7, parts=16)
    parts, loss = benchmark.pedantic(grown, args=(folder, "parts"), rounds=1)
    whole, same = grown(folder, "whole")
    benchmark.extra_info.update(parts_mb=parts, whole_mb=whole)
    assert abs(loss - same) <= 1e-9 * same
    assert parts <= 0.25 * whole
