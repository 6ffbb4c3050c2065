"""Nodes, markets and account groups by name, and the table that figures about them become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion import holdings, schema
from contagion.errors import refuse, texts
from contagion.frames import Parts
from contagion.kernels.inputs import Bools

__all__ = ["Candidate", "Candidates", "table"]


class Candidate(NamedTuple):
    """One entity."""

    type: str  # node, market or group
    name: str
    number: int  # its place in the arrays


class Candidates(NamedTuple):
    """All entities of a system."""

    grouped: holdings.Groups
    nodes: pd.Index[str]
    markets: pd.Index[str]

    @classmethod
    def of(cls, parts: Parts) -> Candidates:
        """Return the entities of a lowered system, named as in `contagion.rank`."""
        grouped = holdings.groups(parts.system, parts.inputs, parts.labels)
        return cls(grouped, parts.labels.nodes, parts.labels.markets)

    def all(self, types: Sequence[str]) -> list[Candidate]:
        """Return the entities of some types, in the order of types and names."""
        listed = {"node": self.nodes, "market": self.markets, "group": self.grouped.names}
        return [Candidate(kind, str(name), number) for kind in types for number, name in enumerate(listed[kind])]

    def named(self, names: Sequence[str], types: Sequence[str], subject: str) -> list[Candidate]:
        """Return the entities that bear the names.

        Raises
        ------
        InputError
            If names are not a list of text, or unknown; every problem is listed.
        """
        refuse(texts("names", names), subject)
        by_name: dict[str, list[Candidate]] = {}
        for candidate in self.all(types):
            by_name.setdefault(candidate.name, []).append(candidate)
        wanted = list(dict.fromkeys(names))
        what = " or ".join(["node", "market", "account group"] if "market" in types else ["node", "account group"])
        problems = [
            f'names: {name!r} is not a {what}{schema.near_misses(name, by_name)}; groups are written "group @ platform"'
            for name in wanted
            if name not in by_name
        ]
        refuse(problems, subject)
        return [candidate for name in wanted for candidate in by_name[name]]

    def accounts(self, candidate: Candidate) -> Bools:
        """Return which accounts (a,) belong to a group."""
        member: Bools = self.grouped.member == candidate.number
        return member


def table(found: Mapping[Candidate, Sequence[float]], columns: Sequence[str]) -> pd.DataFrame:
    """Return one row an entity: its type and figures, the largest first figure on top, ties by name and type."""
    listed = list(found)
    figures = np.array([found[candidate] for candidate in listed], dtype=np.float64).reshape(len(listed), len(columns))
    names = np.array([candidate.name for candidate in listed], dtype=object)
    types = np.array([candidate.type for candidate in listed], dtype=object)
    frame = pd.DataFrame(figures, columns=list(columns), index=pd.Index(names, name="name", dtype="str"))
    frame.insert(0, "type", pd.Series(types, index=frame.index, dtype="str"))
    return frame.take(np.lexsort((types, names, -figures[:, 0])))
