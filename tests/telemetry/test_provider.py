from __future__ import annotations

import subprocess
import sys

import pytest

from perdure.telemetry.provider import TracesWrong, _wanted, configure_traces

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
        {ENDPOINT: "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_set_up_unless_it_is_asked_for(environ):
    assert _wanted(environ) is None
    configure_traces("timer", environ)()


def test_an_endpoint_is_asking_for_it(monkeypatch):
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:1")
    exporter = _wanted({ENDPOINT: "http://127.0.0.1:1"})
    assert type(exporter).__name__ == "OTLPSpanExporter"
    exporter.shutdown()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracesWrong, match=r"pip install 'perdure\[otlp\]'"):
        configure_traces("timer", {ENDPOINT: "http://127.0.0.1:1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_TRACES_EXPORTER", "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
)
def test_what_a_service_cannot_do_is_refused_by_name(name, value):
    with pytest.raises(TracesWrong, match=f"{name}={value}"):
        configure_traces("timer", {ENDPOINT: "http://127.0.0.1:1", name: value})


def test_a_service_says_it_in_a_line_and_ends_with_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "perdure", "run", "timer"],
        env={
            "PATH": "/usr/bin", "PERDURE_LOG": "kafka://127.0.0.1:1", "PERDURE_STORE": "cassandra://127.0.0.1:1/k",
            "OTEL_TRACES_EXPORTER": "zipkin", "PYTHONHASHSEED": "0",
        },
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "OTEL_TRACES_EXPORTER=zipkin" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_engine_without_traces_imports_nothing_of_them():
    code = (
        "import sys, perdure, perdure.assembly, perdure.client.log_transport, perdure.services.process\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk.trace')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
