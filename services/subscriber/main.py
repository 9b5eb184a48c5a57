"""The subscriber's process: what the image runs. `perdure run subscriber` is the same."""

import sys

from perdure.cli.program import program

if __name__ == "__main__":
    program(["run", "subscriber", *sys.argv[1:]])
