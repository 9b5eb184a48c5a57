"""The timer's process: what the image runs. `perdure run timer` is the same."""

import sys

from perdure.cli.program import program

if __name__ == "__main__":
    program(["run", "timer", *sys.argv[1:]])
