"""The benchmark runs; its figures are nobody's assertion."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_scenario_of_the_benchmark_runs(tmp_path):
    command = [sys.executable, "-m", "loadtest", "--small", "--folder", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for scenario in ("throughput", "alone", "sequence", "fan-out", "timers"):
        assert scenario in ran.stdout
