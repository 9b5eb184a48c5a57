"""The orchestrator's process: what the image runs. `perdure run orchestrator` is the same."""

import sys

from perdure.cli.program import program

if __name__ == "__main__":
    program(["run", "orchestrator", *sys.argv[1:]])
