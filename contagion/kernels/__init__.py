"""The solver's arithmetic: arrays in, arrays out; no labels, no tables, no exceptions.

``inputs`` names the arrays, ``accounts`` evaluates and liquidates margin accounts, ``markets`` clears markets,
``credit`` passes losses from node to node, and ``rounds`` puts one round together and repeats it.
"""

from contagion.kernels.inputs import Accounts, Inputs, Markets, Nodes, Positions, Quotes
from contagion.kernels.reaction import State
from contagion.kernels.rounds import Outcome, Record, Rounds, iterate, settle

__all__ = [
    "Accounts",
    "Inputs",
    "Markets",
    "Nodes",
    "Outcome",
    "Positions",
    "Quotes",
    "Record",
    "Rounds",
    "State",
    "iterate",
    "settle",
]
