"""The catalogue, the services, the dashboards, the alert rules and the compose file say the same of metrics."""

import json
import re

import promql_parser
import pytest
import yaml

from deploy.observability.alerts import ALERTS
from deploy.observability.dashboards import OVERVIEW, dashboards
from deploy.observability.files import DEPLOY, made
from perdure.services.roles import ROLES
from perdure.services.settings import HEALTH_PORTS
from perdure.telemetry.metrics import CATALOGUE
from tests.documents.markdown import ROOT, text_of

SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
NAMES = {name + suffix: name for name, metric in CATALOGUE.items() for suffix in SUFFIXES[metric.kind]}


def selectors(expression):
    """(metric, labels it is narrowed to, whether a rate or an increase is taken of it), for each that is asked for."""
    found = []

    def walk(node, over):
        kind = type(node).__name__
        if kind == "VectorSelector":
            found.append((node.name, {each.name for each in node.matchers.matchers}, over))
        elif kind == "MatrixSelector":
            walk(node.vector_selector, over)
        elif kind == "Call":
            for each in node.args:
                walk(each, node.func.name)
        elif kind == "BinaryExpr":
            walk(node.lhs, over)
            walk(node.rhs, over)
        elif kind in ("AggregateExpr", "ParenExpr", "UnaryExpr", "SubqueryExpr"):
            walk(node.expr, over)

    walk(promql_parser.parse(expression.replace("$__rate_interval", "1m")), "")
    return found


def panels():
    return [panel for board in dashboards().values() for panel in board["panels"] if panel["type"] != "row"]


EXPRESSIONS = [target["expr"] for panel in panels() for target in panel["targets"]] + [
    each.expression for each in ALERTS
]

MISSING = [
    ("PerdureOrchestratorMissing", "orchestrator"),
    ("PerdureTimerMissing", "timer"),
    ("PerdureGatewayMissing", "gateway"),
    ("PerdureWorkersMissing", "activity-worker"),
    ("PerdureSubscriberMissing", "subscriber"),
]


def test_the_files_are_what_the_catalogue_makes_of_them():
    stale = [
        str(path) for path, text in made().items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "make them anew: python -m deploy.observability"
    assert {path.name for path in (DEPLOY / "grafana" / "dashboards").iterdir()} == set(dashboards())


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_question_is_about_metrics_of_the_catalogue_as_their_kind_has_to_be_asked(expression):
    asked = selectors(expression)
    assert asked
    for name, labels, over in asked:
        metric = CATALOGUE[NAMES[name]]
        assert labels <= set(metric.labels)
        if metric.kind == "gauge":
            assert over not in ("rate", "increase")
        else:
            assert over in ("rate", "increase"), f"{name} only ever grows: ask for its rate"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_grouped_by_is_a_label_that_is_there(expression):
    for grouped in re.findall(r"by \(([^)]*)\)", expression):
        names = {each.strip() for each in grouped.split(",")}
        metrics = {NAMES[name] for name, _, _ in selectors(expression)}
        known = {"le", "instance"}.union(*(CATALOGUE[name].labels for name in metrics))
        assert names <= known, expression


def test_every_metric_is_on_the_dashboard_of_each_service_that_shows_it():
    for name, metric in CATALOGUE.items():
        for role in metric.roles:
            asked = [
                NAMES[selector]
                for panel in dashboards()[f"{role}.json"]["panels"]
                for target in panel["targets"]
                for selector, _, _ in selectors(target["expr"])
            ]
            assert name in asked, (name, role)
    assert {role for metric in CATALOGUE.values() for role in metric.roles} == set(ROLES)


def test_the_overview_has_what_alerts_are_about():
    about = {NAMES[name] for each in ALERTS for name, _, _ in selectors(each.expression)}
    assert about - set(OVERVIEW) <= {"perdure_activities_refused_total"}


def test_no_panel_lies_on_another():
    for board in dashboards().values():
        taken = set()
        for place in (panel["gridPos"] for panel in board["panels"]):
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken
            assert place["x"] + place["w"] <= 24
            taken |= cells


def test_every_alert_leads_to_a_page_that_is_there_and_tells_of_it():
    assert len({each.name for each in ALERTS}) == len(ALERTS)
    for each in ALERTS:
        page = ROOT / "docs" / "operations" / each.page
        assert page.is_file(), each.page
        assert f"`{each.name}`" in page.read_text(encoding="utf-8"), f"{each.page} does not tell of {each.name}"
    told = {
        name
        for path in (ROOT / "docs" / "operations").glob("*.md")
        for name in re.findall(r"`(Perdure[A-Z]\w+)`", path.read_text())
    }
    assert told == {each.name for each in ALERTS}


def test_the_page_on_missing_services_tells_where_each_of_them_is_asked():
    page = text_of("docs/operations/service-missing.md")
    assert {
        role.replace(" ", "-"): int(port) for port, role in re.findall(r"\b(94\d\d) ([a-z ]+)", page)
    } == HEALTH_PORTS


@pytest.mark.parametrize(("alert", "missing"), MISSING)
def test_that_somebody_is_missing_is_told_by_others_or_by_silence(alert, missing):
    """Of metrics that are the missing service's own nothing is left to be compared, and the alert would never fire."""
    [expression] = [each.expression for each in ALERTS if each.name == alert]
    if expression.startswith("absent("):
        assert f'service="{missing}"' in expression
    else:
        told_by = [set(CATALOGUE[NAMES[name]].roles) for name, _, _ in selectors(expression)]
        assert told_by and all(roles - {missing} for roles in told_by)


def test_every_service_has_an_alert_for_its_absence():
    assert {missing for _, missing in MISSING} == set(ROLES)


def test_a_metric_that_is_not_in_the_catalogue_would_be_seen():
    with pytest.raises(KeyError):
        test_every_question_is_about_metrics_of_the_catalogue_as_their_kind_has_to_be_asked(
            "rate(perdure_turn_total[1m])"
        )
    with pytest.raises(AssertionError):
        test_every_question_is_about_metrics_of_the_catalogue_as_their_kind_has_to_be_asked("perdure_turns_total")
    with pytest.raises(AssertionError):
        test_what_is_grouped_by_is_a_label_that_is_there("sum by (reasons) (rate(perdure_rejections_total[1m]))")


# -- compose ---------------------------------------------------------------------------------------------------


def compose():
    return yaml.safe_load(text_of("docker-compose.yml"))


def mounted(service):
    return {
        target: ROOT / source
        for source, target in (each.split(":")[:2] for each in service.get("volumes", ()))
        if source[0] == "."
    }


def test_prometheus_asks_every_service_at_the_port_of_its_probes():
    jobs = yaml.safe_load(text_of("deploy/prometheus/prometheus.yml"))["scrape_configs"]
    asked = {name: each["port"] for job in jobs for each in job["dns_sd_configs"] for name in each["names"]}
    assert asked == HEALTH_PORTS
    assert set(asked) <= set(compose()["services"])


def test_what_is_provisioned_is_there_and_names_services_of_the_compose_file():
    services = compose()["services"]
    for name in ("otel-collector", "prometheus", "grafana", "jaeger"):
        assert all(path.exists() for path in mounted(services[name]).values()), name
        assert not services[name]["image"].endswith("latest")
        assert all(port.startswith("127.0.0.1:") for port in services[name].get("ports", ()))
    sources = yaml.safe_load(text_of("deploy/grafana/provisioning/datasources/perdure.yml"))["datasources"]
    assert {re.match(r"http://([\w-]+):", each["url"])[1] for each in sources} <= set(services)
    boards = yaml.safe_load(text_of("deploy/grafana/provisioning/dashboards/perdure.yml"))["providers"][0]["options"][
        "path"
    ]
    assert boards in mounted(services["grafana"])
    collector = yaml.safe_load(text_of("deploy/otel/collector.yml"))
    assert collector["exporters"]["otlp"]["endpoint"].partition(":")[0] in services
    pipeline = collector["service"]["pipelines"]["traces"]
    for part in ("receivers", "processors", "exporters"):
        assert set(pipeline[part]) <= set(collector[part])


def test_whatever_is_no_broker_has_no_right_that_it_does_not_need():
    """Cassandra's image begins as root and changes over, and Kafka's writes its settings: they are left as they are."""
    for name, service in compose()["services"].items():
        if name not in {"kafka", "cassandra"}:
            assert service["cap_drop"] == ["ALL"] and service["read_only"] is True, name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert "/tmp" in service["tmpfs"], name


def test_grafana_has_viewers_and_nobody_who_logs_in():
    told = compose()["services"]["grafana"]["environment"]
    assert {name: told[f"GF_AUTH_{name}"] for name in ("ANONYMOUS_ORG_ROLE", "DISABLE_LOGIN_FORM", "BASIC_ENABLED")} == {
        "ANONYMOUS_ORG_ROLE": "Viewer", "DISABLE_LOGIN_FORM": "true", "BASIC_ENABLED": "false",
    }  # fmt: skip


@pytest.mark.parametrize("role", [*ROLES])
def test_every_service_of_the_compose_file_tells_its_traces_to_the_collector(role):
    services = compose()["services"]
    host, port = re.fullmatch(
        r"http://([\w-]+):(\d+)", services[role]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
    ).groups()
    assert host in services
    listens = yaml.safe_load(text_of("deploy/otel/collector.yml"))["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert listens.endswith(f":{port}")
    assert "-r requirements.lock" in text_of(services[role]["build"]["dockerfile"])
    assert re.search(r"^opentelemetry-exporter-otlp-proto-http==", text_of("requirements.lock"), re.MULTILINE)


def test_dashboards_are_json_that_grafana_takes_by_their_shape():
    for text in (path.read_text() for path in (DEPLOY / "grafana" / "dashboards").iterdir()):
        board = json.loads(text)
        assert board["uid"].startswith("perdure-")
        ids = [panel["id"] for panel in board["panels"]]
        assert ids == sorted(set(ids))
