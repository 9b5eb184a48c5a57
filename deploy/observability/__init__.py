"""Dashboards and alert rules, made from the catalogue of metrics (`perdure.telemetry.metrics`).

`python -m deploy.observability` writes the files of `deploy/grafana/dashboards/` and `deploy/prometheus/rules.yml`; a test holds
them to it. Change the catalogue or what is here, never the files.
"""
