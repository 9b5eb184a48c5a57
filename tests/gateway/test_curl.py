"""Every curl line of docs/http.md, run in order against a real server over a real engine."""

import asyncio
import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from perdure.adapters.system import SystemClock, SystemEntropy
from perdure.assembly import Engine, memory_ports
from perdure.client.client import AsyncWorkflowClient
from perdure.gateway.dapr_routes import VERSIONS
from perdure.gateway.http import create_app
from perdure.gateway.server import GatewayServer
from perdure.gateway.settings import GatewaySettings
from perdure.ports.log import Outgoing

PAGE = Path(__file__).parents[2] / "docs" / "http.md"
TEXT = PAGE.read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def application(tmp_path):
    """The page's own application."""
    path = tmp_path / "page.py"
    path.write_text(re.search(r"```python\n(.*?)```", TEXT, re.DOTALL).group(1), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("page", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture
async def served(application):
    engine = Engine(application, memory_ports(SystemClock(), SystemEntropy()))
    await engine.start()
    client = AsyncWorkflowClient(engine.transport)
    garbage = [Outgoing(engine.topics.instances, 0, b"order-9", b"no command") for _ in range(4)]
    await engine.ports.log.append(garbage)
    async with asyncio.timeout(20):
        while len((await client.list_dead_letters()).letters) < len(garbage):
            await asyncio.sleep(0.01)
    server = GatewayServer(create_app(client, settings=GatewaySettings(api_token=None)), GatewaySettings(port=0))
    await server.start()
    yield server.url, client
    await server.stop()
    await engine.stop()


async def run(line, url):
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", line.replace("http://127.0.0.1:3500", url).replace("curl ", "curl --noproxy '*' "),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == 0, f"{line}\n{out.decode()}\n{err.decode()}"
    return json.loads(out)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
async def test_every_line_does_what_the_page_says(served):
    url, client = served
    answers = {line: await run(line, url) for line in LINES}
    assert answers[LINES[0]] == {"instanceID": "order-1"}
    for line, answer in answers.items():
        if "/wait?" in line:
            assert answer["serializedOutput"] == '{"order":10,"paid":true}'
        if "/dead-letters?" in line:
            assert [each["id"] for each in answer["letters"]] == ["0-0", "0-1", "0-2", "0-3"]
        if "/dead-letters/" in line and line.endswith(("/replay'", "/drop'")):
            assert answer["state"] in ("replayed", "dropped")
        if "/dead-letters:" in line:
            assert [each["state"] for each in answer["letters"]] in (["replayed"], ["dropped"])
        if line.endswith("/history'"):
            assert [event["type"] for event in answer["events"]] == [
                "WorkflowStarted", "ActivityScheduled", "ActivityCompleted", "WorkflowCompleted",
            ]  # fmt: skip
    for instance_id, output in {"order-2": 8, "order-3": 9, "order-4-again": 10}.items():
        state = await client.wait_for_workflow_completion(instance_id, timeout_in_seconds=10)
        assert state.serialized_output == f'{{"order":{output},"paid":true}}'
    assert (await client.wait_for_workflow_completion("approval-3")).serialized_output == '{"approved":false}'
    for purged in ("approval-2", "order-5"):
        assert await client.get_workflow_state(purged) is None


def test_the_page_shows_every_verb():
    app = create_app(AsyncWorkflowClient(None), settings=GatewaySettings(api_token=None))
    for path, verbs in app.openapi()["paths"].items():
        if path.startswith(("/v1.0-beta1", "/v1.0-alpha1")):
            continue  # the same seven again
        pattern = re.escape(path.replace("{component}", "dapr")).replace(r"\{", "{").replace(r"\}", "}")
        shown = re.compile(re.sub(r"\{\w+\}", r"[^/?' ]+", pattern) + r"[?']")
        for verb in verbs:
            found = [line for line in LINES if shown.search(line) and ("-X POST" in line) == (verb == "post")]
            assert found, f"no curl line for {verb.upper()} {path}"
    assert all(any(f"3500{version}/" in line for line in LINES) for version in VERSIONS)
