"""Two ways in for the load: the gateway's HTTP, and the log itself. Both answer alike, or say `Again`."""

from __future__ import annotations

import json
from functools import partial

import httpx

from perdure.client.errors import EngineStopped, EngineUnavailable
from perdure.client.log_transport import LogTransport
from perdure.core.commands import RaiseEvent, StartWorkflow
from perdure.core.names import Topics
from perdure.ports.errors import PortError
from perdure.services.write_version import learn_write_version

ANSWER_SECONDS = 15.0
WAIT_SECONDS = 15.0


class Again(Exception):
    """No answer: it may have taken effect or not; the same command may be sent again."""


class Refused(Exception):
    """An answer that is no. The load asks for nothing that may be refused."""


class HttpDoor:
    """`gateway()` is where one listens now. An id is any text, and commands carry an Idempotency-Key."""

    name = "http"

    def __init__(self, gateway):
        self._gateway = gateway
        self._http = httpx.AsyncClient(timeout=ANSWER_SECONDS + WAIT_SECONDS, trust_env=False)

    def mint(self, number, prefix):
        return f"{prefix}-{number}"

    async def start(self, instance_id, workflow, given, command_id, first):
        path = f"/v1/workflows/{workflow}/start"
        await self._post(path, given, command_id, {"instance_id": instance_id})

    async def raise_event(self, instance_id, name, data, command_id):
        await self._post(f"/v1/instances/{instance_id}/raise-event/{name}", data, command_id, {})

    async def wait(self, instance_id):
        """(status, output)"""
        path, query = f"/v1/instances/{instance_id}/wait", {"timeout": WAIT_SECONDS}
        answer = await self._send("GET", path, params=query)
        body = answer.json()
        return body["runtimeStatus"], json.loads(body["serializedOutput"] or "null")

    async def close(self):
        await self._http.aclose()

    async def _post(self, path, body, command_id, query):
        headers = {"Idempotency-Key": command_id}
        await self._send("POST", path, params=query, headers=headers, json=body)

    async def _send(self, method, path, **more):
        url = self._gateway()
        try:
            answer = await self._http.request(method, url + path, **more)
        except httpx.TransportError as error:
            raise Again(f"{type(error).__name__} {error}") from None
        if answer.status_code == 408 or answer.status_code >= 500:
            raise Again(answer.text)
        if not answer.is_success:
            raise Refused(f"{method} {path}: {answer.text}")
        return answer


class LogDoor:
    """Commands appended to the log by a client of its own; ids are minted, with the time in them."""

    name = "log"

    def __init__(self, ports, namespace):
        topics = Topics(namespace)
        self._transport = LogTransport(
            ports.log, ports.store, topics, ports.entropy, ports.clock, encode=ports.encode,
            learn=partial(learn_write_version, ports.log, topics, ports.encode),
        )  # fmt: skip

    def mint(self, number, prefix):
        return self._transport.ids.mint()

    async def start(self, instance_id, workflow, given, command_id, first):
        # Only the first may trust in the youth of its id: a later one may find that one's instance.
        command = StartWorkflow(workflow, json.dumps(given), command_id, minted=first)
        await self._send(instance_id, command)

    async def raise_event(self, instance_id, name, data, command_id):
        await self._send(instance_id, RaiseEvent(name, json.dumps(data), command_id))

    async def wait(self, instance_id):
        found = await self._asked(self._transport.inspect(instance_id, until="completed", timeout_s=WAIT_SECONDS))
        if found is None:
            raise Refused(f"{instance_id} is not known")
        return found.status, json.loads(found.output or "null")

    async def close(self):
        await self._transport.close()

    async def _send(self, instance_id, command):
        reply = await self._asked(self._transport.send(instance_id, command, timeout_s=ANSWER_SECONDS))
        if not reply.accepted:
            raise Refused(f"{instance_id}: {reply.reason}: {reply.message}")

    async def _asked(self, asking):
        try:
            return await asking
        except (TimeoutError, PortError, EngineUnavailable, EngineStopped) as error:
            raise Again(str(error)) from None
