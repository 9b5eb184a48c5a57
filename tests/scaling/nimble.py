"""`perdure run …` whose orchestrator stores its position every few records (rules.py): python nimble.py run ROLE …"""

from __future__ import annotations

from dataclasses import replace


def main():
    from perdure.cli import main as perdure
    from perdure.services.roles import OrchestratorRole
    from tests.scaling.rules import TRAILING

    OrchestratorRole.bounds = replace(OrchestratorRole.bounds, delete_every=TRAILING)
    perdure()


if __name__ == "__main__":
    main()
