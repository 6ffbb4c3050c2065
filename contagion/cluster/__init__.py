"""A Dask client as the engine: who stands behind it, what its workers keep, and what becomes of work that is lost."""

from contagion.cluster.clients import check_engine, connected, ready
from contagion.cluster.keeping import Kept, address, kept, room, turn
from contagion.cluster.waiting import answers, at_once, streamed

__all__ = [
    "Kept",
    "address",
    "answers",
    "at_once",
    "check_engine",
    "connected",
    "kept",
    "ready",
    "room",
    "streamed",
    "turn",
]
