"""What renders the chart is Helm: it works on a plain chart, and says no where Helm does."""

import re

import pytest

from tests.deploy import renderer
from tests.deploy.renderer import CHART, ChartRefused, NoRenderer, rendered

CHART_YAML = "apiVersion: v2\nname: plain\nversion: 1.0.0\n"
TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-{{ .Chart.Name }}, namespace: {{ .Release.Namespace }}}
data: {greeting: {{ .Values.greeting | upper | quote }}, lines: {{ tpl "{{ .Values.n }}" . | int | quote }}}
"""


@pytest.fixture
def plain(tmp_path):
    chart = tmp_path / "plain"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text(CHART_YAML)
    (chart / "values.yaml").write_text("greeting: hello\nn: 1\n")
    (chart / "templates" / "one.yaml").write_text(TEMPLATE)
    return chart


def test_a_plain_chart_comes_out_as_helm_would_send_it(plain, tmp_path):
    [found] = rendered({"n": 3}, tmp_path, plain)
    assert found["metadata"] == {"name": "orders-plain", "namespace": "work"}
    assert found["data"] == {"greeting": "HELLO", "lines": "3"}


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("{{ .Values.greeting | nosuch }}", "nosuch"),
        ("{{ if }}", "missing value for if"),
        ('{{ fail "a sentence" }}', "a sentence"),
        ("kind: [", "did not find expected"),
        ('{{ include "nowhere" . }}', "nowhere"),
    ],
)
def test_a_broken_template_is_refused(plain, tmp_path, template, word):
    (plain / "templates" / "two.yaml").write_text(template)
    with pytest.raises(ChartRefused, match=re.escape(word)):
        rendered({}, tmp_path, plain)


def test_hooks_are_there_and_are_hooks(plain, tmp_path):
    hook = "{apiVersion: v1, kind: Secret, metadata: {name: h, annotations: {\n  helm.sh/hook: pre-install}}}\n"
    (plain / "templates" / "two.yaml").write_text(hook)
    found = {each["kind"]: each["metadata"].get("annotations") for each in rendered({}, tmp_path, plain)}
    assert found == {"ConfigMap": None, "Secret": {"helm.sh/hook": "pre-install"}}


def test_values_are_held_to_the_charts_schema(plain, tmp_path):
    (plain / "values.schema.json").write_text('{"properties": {"n": {"type": "integer"}}}')
    rendered({"n": 2}, tmp_path, plain)
    with pytest.raises(ChartRefused, match=r"schema[\s\S]*\bn\b"):
        rendered({"n": "two"}, tmp_path, plain)


def test_without_a_renderer_tests_fail_and_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(renderer.shutil, "which", lambda tool: None)
    with pytest.raises(NoRenderer, match="install helm 3"):
        rendered({}, tmp_path)


def test_the_chart_says_which_kubernetes_is_the_oldest(tmp_path):
    """The packaged library is given a copy without that line."""
    assert 'kubeVersion: ">=1.29.0-0"\n' in (CHART / "Chart.yaml").read_text()
