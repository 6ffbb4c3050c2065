"""Systems that are larger than memory, or than a machine: solved part by part.

Each part is read, checked and packed once; a round tells all parts the prices and adds up what they answer, part by
part in order. ``engine`` says what it takes to hold parts, ``part`` what one of them does, ``local`` streams them from
disk, ``whole`` is what they have in common, ``solve`` puts them together.
"""

from contagion.parts.partitioned import Partitioned, open_partitioned, partition
from contagion.parts.solution import PartitionedSolution

__all__ = ["Partitioned", "PartitionedSolution", "open_partitioned", "partition"]
