"""OpenTelemetry's SDK in a service's process, as its OTEL_* variables say. An embedded engine uses its program's own.

Without an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT or …_TRACES_ENDPOINT) or OTEL_TRACES_EXPORTER nothing is set up and
nothing imported. Spans wait in a bounded queue and leave on a thread of its own; when the collector is slow or away,
the newest push out the oldest, and work goes on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final, cast

import structlog

from perdure.core.errors import PerdureError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["TracesWrong", "configure_traces"]

log = structlog.get_logger("perdure.telemetry")

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
DELAY_MS: Final = 200
"""Until spans leave: well below the write-behind's 0.4 s, so that what a killed orchestrator had not exported is still in
the tail of its history, and its successor tells it. OTEL_BSP_SCHEDULE_DELAY overrides it."""

SHUTDOWN_SECONDS: Final = 3.0
"""For what is left at the end, whatever the collector does."""


class TracesWrong(PerdureError):
    """The environment asks for traces in a way that cannot be had; the text says what to do."""


def configure_traces(role: str, environ: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """Set the process's TracerProvider up. Returns what flushes it at the end. Raises TracesWrong."""
    exporter = _wanted(environ)
    if exporter is None:
        return _nothing
    from opentelemetry import trace as api  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    about = {"service.namespace": "perdure", "service.version": _version()}
    if not environ.get("OTEL_SERVICE_NAME") and "service.name" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        about["service.name"] = f"perdure-{role}"
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    delay_ms = None if environ.get("OTEL_BSP_SCHEDULE_DELAY") else DELAY_MS
    provider.add_span_processor(BatchSpanProcessor(cast("Any", _Counted(exporter)), schedule_delay_millis=delay_ms))
    api.set_tracer_provider(provider)

    def shut_down() -> None:
        ending = threading.Thread(target=provider.shutdown, name="perdure-traces", daemon=True)
        ending.start()
        ending.join(SHUTDOWN_SECONDS)

    return shut_down


def _wanted(environ: Mapping[str, str]) -> SpanExporter | None:
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    default = "otlp" if any(environ.get(name) for name in ENDPOINTS) else "none"
    kind = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or default
    if kind == "none":
        return None
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        return ConsoleSpanExporter()
    if kind != "otlp":
        raise TracesWrong(f"OTEL_TRACES_EXPORTER={kind}: a service exports by otlp, console or none")
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        raise TracesWrong(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: a service exports by http/protobuf (a collector takes it on port 4318)"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError:
        raise TracesWrong(
            "traces by OTLP are asked for (OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER), and their exporter is not "
            "installed: pip install 'perdure[otlp]'"
        ) from None
    return OTLPSpanExporter()


class _Counted:
    """An exporter whose failures are told when they begin and counted when they end, instead of once each."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._lost = 0

    def export(self, spans: Any) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

        try:
            result = self._inner.export(spans)
        except Exception as error:  # noqa: BLE001 - an exporter harms nobody but the traces
            log.warning("spans cannot be exported", error=f"{type(error).__name__}: {error}")
            result = SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.warning("spans are exported again", lost=self._lost)
            self._lost = 0
        else:
            if not self._lost:
                log.warning("spans are lost: is the collector up? The service goes on without")
            self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)


def _version() -> str:
    try:
        return version("perdure")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def _nothing() -> None:
    """No traces were asked for."""
