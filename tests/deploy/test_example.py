"""The example can be deployed: its App runs, its images and values fit the chart, and Helm's last words are true."""

import importlib.util
import re
import subprocess
import sys

import pytest
import yaml

from perdure import testing
from perdure.cli.exits import Unusable, exit_of
from tests.deploy.manifests import container_of
from tests.deploy.renderer import CHART, notes
from tests.deploy.value_sets import LEAST, POOLS, SETS, over
from tests.documents.markdown import ROOT, text_of

EXAMPLE = ROOT / "deploy" / "example"
IMAGES = ["deploy/Dockerfile", "deploy/example/Dockerfile", "deploy/example/Dockerfile.own"]


@pytest.fixture
def values():
    return yaml.safe_load((EXAMPLE / "values.yaml").read_text())


def loaded(name):
    spec = importlib.util.spec_from_file_location(f"deployed_{name}", EXAMPLE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_examples_app_runs():
    orders = loaded("orders")
    with testing.engine(orders.app) as engine:
        done = engine.run(orders.order_workflow, {"id": 7})
    assert (done["reservation"], done["payment"]) == ("main-7", "p-7")


def test_the_examples_values_render_and_name_its_app(render, values):
    found = render(values)
    module, _, attribute = values["app"].partition(":")
    assert hasattr(loaded(module), attribute)
    worker = container_of(found.component("activity-worker-default"))
    told = {each["name"]: each for each in worker["env"]}
    assert told["WAREHOUSE"]["value"] == "north"
    assert told["PAYMENTS_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "payments", "key": "token"}
    bootstrap = {each["name"]: each for each in container_of(found.component("bootstrap"))["env"]}
    assert bootstrap["PERDURE_KAFKA_PASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "kafka-admin"


@pytest.mark.parametrize("place", IMAGES)
def test_an_image_ends_as_the_user_that_the_chart_runs_and_copies_what_is_there(place):
    text = text_of(place)
    user = yaml.safe_load((CHART / "values.yaml").read_text())["podSecurityContext"]
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE)[-1] == f"{user['runAsUser']}:{user['runAsGroup']}"
    folder = ROOT if place == "deploy/Dockerfile" else EXAMPLE
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((folder / each).exists() for each in source.split()), source
    assert set(re.findall(r"PERDURE_[A-Z_]+", re.sub(r"#.*", "", text))) <= {"PERDURE_APP"}


def test_every_image_has_the_command_and_what_traces_need():
    base, own = text_of("deploy/Dockerfile"), text_of("deploy/example/Dockerfile.own")
    for text in (base, own):
        assert text.rstrip().endswith('ENTRYPOINT ["perdure"]')
        assert "PYTHONHASHSEED=0" in text and "PYTHONPATH=/app" in text
        assert "alpine" not in text.lower().replace("not alpine", "")
    assert f"perdure[otlp]=={_version()}" in own
    assert "-r requirements.lock" in base  # which has what [otlp] asks for: tests/services/test_lock.py
    assert f"ARG PERDURE=perdure:{_version()}" in text_of("deploy/example/Dockerfile")


def test_the_charts_version_of_the_app_is_the_packages():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == _version()


def _version():
    return re.search(r'^version = "(.+)"$', text_of("pyproject.toml"), re.MULTILINE)[1]


def test_helms_last_words_tell_the_next_step(tmp_path):
    said = notes(LEAST, tmp_path)
    assert "Next: wait until everything is ready" in said
    assert "rollout status deployment --selector app.kubernetes.io/instance=orders" in said
    assert "get secret gateway-token --output go-template='{{ index .data \"token\" | base64decode }}'" in said
    assert 'labelled perdure.dev/client: "true"' in said
    command = re.search(r"^\s+perdure (start .+)$", said, re.MULTILINE)[1]
    told = subprocess.run(
        [sys.executable, "-m", "perdure", "start", "--help"], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    assert all(option in told for option in re.findall(r"--\w+", command))


def test_helms_last_words_fit_what_was_installed(tmp_path):
    pools = notes(over(POOLS, {"bootstrap": {"enabled": False}, "autoscaling": {"enabled": True}}), tmp_path)
    assert "activity-worker-mail (task queue mail)" in pools
    assert "`perdure bootstrap --print`" in pools
    assert "Counts are fixed" not in pools


def test_helms_last_words_tell_what_a_pod_does_that_lacks_something_where_somebody_has_to_give_it(tmp_path):
    told = "ends with code 4, and its last line names it"
    assert exit_of(Unusable("")) == 4
    assert told not in notes(LEAST, tmp_path / "least")  # bootstrap makes it, and one user is everybody
    assert told in notes(over(LEAST, {"bootstrap": {"enabled": False}}), tmp_path / "bootstrapped")
    own = {"workerDefaults": {"credentials": {"cassandra": "workers"}}}
    said = notes(over(LEAST, own), tmp_path / "own")
    assert told in said
    assert "rollout restart deployment --selector app.kubernetes.io/instance=orders" in said


def test_helms_last_words_speak_of_no_gateway_that_is_not_there(tmp_path):
    said = notes(SETS["bare"], tmp_path)
    assert "port-forward" not in said and "perdure-gateway" not in said
    assert "rollout status" in said


def test_helms_last_words_tell_of_tls_and_of_named_tokens(tmp_path):
    gateway = {"tokens": {"existingSecret": "named", "key": "people"}, "tls": {"existingSecret": "files"}}
    both = notes(over(LEAST, {"gateway": gateway}), tmp_path)
    assert "--endpoint https://127.0.0.1:3500" in both and "PERDURE_ENDPOINT_CA_FILE" in both
    assert "get secret gateway-token" in both
    assert "http://" not in both
    alone = notes(over(LEAST, {"gateway": {"existingSecret": "", "tokens": gateway["tokens"]}}), tmp_path / "alone")
    assert "get secret named" in alone and 'index .data "people"' in alone and "get secret gateway-token" not in alone
    assert "https://" not in alone


def test_helms_last_words_tell_what_subscribers_follow(tmp_path):
    inline = notes(SETS["subscribed"], tmp_path)
    assert "subscriptions from topics: approvals_2, orders, returns" in inline
    assert "shop-subscriptions" in notes(SETS["followed"], tmp_path / "map")
    none = notes(over(LEAST, {"services": {"subscriber": {"enabled": True}}}), tmp_path / "none")
    assert "perdure subscriptions add" in none
    assert "subscriptions" not in notes(LEAST, tmp_path / "off")


def test_the_page_names_values_that_there_are():
    page = text_of("deploy/README.md")
    known = yaml.safe_load((CHART / "values.yaml").read_text())
    sections = "|".join(known)
    for path in re.findall(rf"`((?:{sections})(?:\.\w+)+)(?:=\w+)?`", page):
        node = known
        for part in path.split("."):
            assert part in node, path
            node = node[part]


def test_resources_in_the_chart_are_what_the_page_of_figures_says():
    """The comments beside them quote it: when figures are measured anew, look at both."""
    figures, values = text_of("docs/performance.md"), (CHART / "values.yaml").read_text()
    for quoted, there in [
        ("529 workflows/s", "| 529 |"), ("1.21 ms", "1.21"), ("111 MB idle", "orchestrator 111 MB"),
        ("482 MB with 100,000", "| 482 MB"), ("75 MB idle", "activity worker 75"), ("73 MB idle", "timer 73"),
        ("456 MB with a million", "456 MB, 445 bytes each"), ("0.42 ms", "0.42"),
        ("99 MB under load", "| 91 MB, 99 MB |"), ("84 MB under load", "| 79 MB, 84 MB |"),
    ]:  # fmt: skip
        assert quoted in values, quoted
        assert there in figures, there
