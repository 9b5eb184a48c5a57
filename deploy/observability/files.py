"""The files as they should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import yaml

from deploy.observability.alerts import rules
from deploy.observability.dashboards import dashboards

__all__ = ["made"]

NOTE: Final = "# Made by `python -m deploy.observability`: change deploy/observability/alerts.py instead.\n"
DEPLOY: Final = Path(__file__).parent.parent


def made() -> dict[Path, str]:
    """Path to text."""
    found = {DEPLOY / "grafana" / "dashboards" / name: _json(board) for name, board in dashboards().items()}
    found[DEPLOY / "prometheus" / "rules.yml"] = NOTE + yaml.safe_dump(
        rules(), sort_keys=False, width=10_000, allow_unicode=True
    )
    return found


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
