"""The gateway's process: what the image runs. `perdure run gateway` is the same."""

import sys

from perdure.cli.program import program

if __name__ == "__main__":
    program(["run", "gateway", *sys.argv[1:]])
