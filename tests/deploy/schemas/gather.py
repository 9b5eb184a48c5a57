"""Makes the schemas beside it anew: `python -m tests.deploy.schemas.gather WHEEL PACKAGE`.

WHEEL is kubernetes-validate's from PyPI, PACKAGE the unpacked npm package @kubernetes-models/keda. What is kept are the
kinds that the chart writes and what they refer to, without descriptions; an unknown field is an error.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
VERSIONS = ("1.29.0", "1.37.0")
"""The oldest Kubernetes that Chart.yaml allows, and the newest when this was gathered."""

KINDS = {
    "Deployment": "io.k8s.api.apps.v1.Deployment",
    "Job": "io.k8s.api.batch.v1.Job",
    "ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "Service": "io.k8s.api.core.v1.Service",
    "ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
    "PodDisruptionBudget": "io.k8s.api.policy.v1.PodDisruptionBudget",
    "NetworkPolicy": "io.k8s.api.networking.v1.NetworkPolicy",
    "Ingress": "io.k8s.api.networking.v1.Ingress",
    "HorizontalPodAutoscaler": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
}
KEDA_KINDS = ("ScaledObject", "TriggerAuthentication")
ELSEWHERE = {"HorizontalPodAutoscalerBehavior": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior"}
KEPT = {
    "type", "enum", "const", "required", "properties", "additionalProperties", "items", "oneOf", "anyOf", "minimum",
    "maximum", "minItems", "maxItems", "minLength", "maxLength", "pattern",
}  # fmt: skip


def kubernetes(wheel: Path, version: str) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        place = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/_definitions.json"
        known = json.loads(archive.read(place))["$defs"]
    wanted = [*KINDS.values(), *ELSEWHERE.values()]
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = slim(known[name], wanted)
    return found


def slim(schema: Any, wanted: list[str], *, named: bool = False) -> Any:
    """`named`: the keys are names of fields, not words of JSON Schema."""
    if isinstance(schema, list):
        return [slim(each, wanted) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if not named and "$ref" in schema:
        wanted.append(schema["$ref"].rpartition("/")[2])
        return {"$ref": f"#/$defs/{wanted[-1]}"}
    kept = {}
    for word, value in sorted(schema.items()):
        if named or word in KEPT:
            kept[word] = slim(value, wanted, named=not named and word == "properties")
    return kept


def keda(package: Path) -> dict[str, Any]:
    folder = package / "keda.sh" / "v1alpha1"
    wanted, found = list(KEDA_KINDS), {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = interface((folder / f"{name}.d.ts").read_text(encoding="utf-8"), name, wanted)
    return found


def interface(text: str, name: str, wanted: list[str]) -> dict[str, Any]:
    """What the package's types say of one object."""
    alias = re.search(rf"^export type I?{name} = (.*?);$", text, re.DOTALL | re.MULTILINE)
    if alias:
        return typed(alias[1].strip(), wanted)
    body = re.search(rf"^export interface I{name} (?:extends [^{{]+)?\{{\n(.*?)^\}}", text, re.DOTALL | re.MULTILINE)
    if body is None:
        raise SystemExit(f"{name}: no interface in its file")
    plain = re.sub(r"/\*\*.*?\*/", "", body[1], flags=re.DOTALL)
    fields = re.findall(r'^    "(\w+)"(\??): (.*?);\n(?=    "|\Z|\s*\Z)', plain, re.DOTALL | re.MULTILINE)
    schema = {"type": "object", "properties": {field: typed(kind, wanted) for field, _, kind in fields}}
    schema["required"] = [field for field, optional, _ in fields if not optional]
    return schema | {"additionalProperties": False}


def typed(kind: str, wanted: list[str]) -> dict[str, Any]:
    kind = kind.strip()
    if array := re.fullmatch(r"Array<(.*)>", kind, re.DOTALL):
        return {"type": "array", "items": typed(array[1], wanted)}
    if record := re.fullmatch(r"\{\s*\[key: string\]: (.*?);?\s*\}", kind, re.DOTALL):
        return {"type": "object", "additionalProperties": typed(record[1], wanted)}
    if re.fullmatch(r'("[^"]*"( \| )?)+', kind):
        return {"enum": re.findall(r'"([^"]*)"', kind)}
    if kind in {"string", "boolean", "number"}:
        return {"type": "integer" if kind == "number" else kind}
    if own := re.fullmatch(r"IComGithubKedacoreKedaV2ApisKedaV1alpha1(\w+)", kind):
        wanted.append(own[1])
        return {"$ref": f"#/$defs/{own[1]}"}
    for ending, place in ELSEWHERE.items():
        if kind.endswith(ending):
            return {"$ref": f"#/$defs/{place}"}
    return {}


def write(name: str, kinds: dict[str, str], definitions: dict[str, Any]) -> None:
    schema = {"kinds": kinds, "$defs": dict(sorted(definitions.items()))}
    (FOLDER / name).write_text(json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")


def main(wheel: Path, package: Path) -> None:
    for version in VERSIONS:
        write(f"kubernetes-{version.rpartition('.')[0]}.json", KINDS, kubernetes(wheel, version))
    oldest = kubernetes(wheel, VERSIONS[0])
    names: list[str] = list(ELSEWHERE.values())
    definitions = keda(package)
    while names:
        name = names.pop()
        if name not in definitions:
            definitions[name] = oldest[name]
            names += re.findall(r'"#/\$defs/(io\.k8s[^"]+)"', json.dumps(oldest[name]))
    write("keda.json", {kind: kind for kind in KEDA_KINDS}, definitions)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
