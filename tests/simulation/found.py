"""By which seed each planted bug was found first, of those from 0 on; what the tests try first.

A change of the engine or of the scenarios moves these numbers: then `python -m tests.simulation --planted NAME` tells the
new one. A bug that MOST seeds do not find counts as one that the simulation cannot find.
"""

MOST = 1_500

FOUND = {}
