"""The activity-worker's process: what the image runs. `perdure run activity-worker` is the same."""

import sys

from perdure.cli.program import program

if __name__ == "__main__":
    program(["run", "activity-worker", *sys.argv[1:]])
