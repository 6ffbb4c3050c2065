"""Write the tables of the October 2025 case from the figures beside this file, with seeded draws.

Run as ``python contagion/data/october_2025/build.py [FOLDER]``; the default folder is this one.
"""

from __future__ import annotations

import sys
from pathlib import Path

from contagion.data.october_2025 import population, structure
from contagion.data.october_2025.tables import FIGURES, HERE, VENUES, Book


def build(folder: Path, seed: int = FIGURES["seed"]) -> None:
    """Write all tables into a folder."""
    book = Book(seed)
    for part in (structure.nodes, structure.assets, structure.markets, structure.links):
        part(book)
    for part in (structure.terms, structure.oracles, structure.claims, population.ethena, population.staking_carry):
        part(book)
    for venue in VENUES:
        population.makers(book, venue)
        population.perp_longs(book, venue)
    for part in (population.loops, population.whales, population.borrowers):
        part(book)
    for part in (population.spot_holders, population.macro_funds):
        part(book)
    for venue in VENUES:
        population.shorts(book, venue)
    book.write(folder)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
