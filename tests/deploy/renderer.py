"""The chart with values given, as manifests: by `helm` if it is on PATH, else by Helm's library from Maven's artefacts."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

from tests.brokers.artefacts import Artefact, resolve
from tests.brokers.places import locked
from tests.deploy.library import NATIVE
from tests.documents.markdown import ROOT

CHART = ROOT / "deploy" / "helm" / "perdure"
RELEASE, NAMESPACE = "orders", "work"
SECONDS_MAX = 120
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PLATFORMS = {
    ("Linux", "x86_64"): "linux-amd64",
    ("Linux", "aarch64"): "linux-arm64",
    ("Darwin", "x86_64"): "darwin-amd64",
    ("Darwin", "arm64"): "darwin-arm64",
}

HOOK, SET_ASIDE = "helm.sh/hook:", "set-aside.helm.sh/hook:"

Manifest = dict[str, Any]


class ChartRefused(Exception):
    """Helm's word on why there are no manifests."""


class NoRenderer(Exception):
    """The tests of the chart need one, and are not skipped without."""


def rendered(values: Manifest, folder: Path, chart: Path = CHART) -> list[Manifest]:
    """What `helm install` would send, hooks included. `folder` is for files. Raises ChartRefused, NoRenderer."""
    given = folder / "values.json"
    given.write_text(json.dumps(values))
    done = subprocess.run(
        _command(chart, given, folder), capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    if done.returncode != 0:
        raise ChartRefused(done.stderr)
    return [each for each in yaml.load_all(done.stdout.replace(SET_ASIDE, HOOK), LOADER) if each]


def notes(values: Manifest, folder: Path) -> str:
    """What `helm install` says at its end: no `template` prints it, so a copy of the chart has it in a manifest."""
    copy = folder / "chart"
    shutil.copytree(CHART, copy)
    text = (copy / "templates" / "NOTES.txt").read_text(encoding="utf-8")
    (copy / "templates" / "_notes.tpl").write_text(f'{{{{- define "notes" -}}}}\n{text}{{{{- end -}}}}\n')
    (copy / "templates" / "notes.yaml").write_text('{kind: Notes, text: {{ include "notes" . | quote }}}\n')
    found: str = next(each for each in rendered(values, folder, copy) if each["kind"] == "Notes")["text"]
    return found


def _command(chart: Path, values: Path, folder: Path) -> list[str]:
    helm = shutil.which("helm")
    if helm is not None:
        return [helm, "template", RELEASE, str(chart), "-n", NAMESPACE, "-f", str(values), "--kube-version", "1.29.0"]
    library = _library()
    # The library takes Kubernetes for 1.20, whatever it is, and leaves hooks out: a copy of the chart asks neither.
    copy = folder / f"{chart.name}-copy"
    shutil.copytree(chart, copy, dirs_exist_ok=True)
    about = copy / "Chart.yaml"
    about.write_text(re.sub(r"^kubeVersion: .*\n", "", about.read_text(encoding="utf-8"), flags=re.MULTILINE))
    for template in (copy / "templates").iterdir():
        template.write_text(template.read_text(encoding="utf-8").replace(HOOK, SET_ASIDE))
    return [sys.executable, "-m", "tests.deploy.library", str(library), str(copy), str(values), RELEASE, NAMESPACE]


def _library() -> Path:
    native = PLATFORMS.get((platform.system(), platform.machine()))
    if native is None or shutil.which("mvn") is None:
        raise NoRenderer(
            "nothing renders the chart here: install helm 3 on PATH; or, on Linux and macOS, Java and Maven, which fetch "
            "Helm's library (Debian: `apt-get install openjdk-17-jre-headless maven`)"
        )
    jars = resolve(Artefact(f"helm-{native}-{NATIVE}", "com.marcnuri.helm-java", native, NATIVE))
    with locked("helm"), zipfile.ZipFile(jars / f"{native}-{NATIVE}.jar") as archive:
        name = next(each for each in archive.namelist() if re.fullmatch(r"helm-[\w-]+\.(so|dylib)", each))
        if not (jars / name).is_file():
            archive.extract(name, jars / "partial")
            (jars / "partial" / name).rename(jars / name)
    return jars / name
