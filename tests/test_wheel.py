"""The built wheel is whole: what is installed from it finds its schemas and runs a workflow."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

PROGRAM = """
import sys
import perdure as wf
from perdure.codec.schemas import schema_folder
assert schema_folder().name == "_schemas", schema_folder()
app = wf.App()

@app.workflow
def hello(ctx, name):
    return f"hello {name}"
    yield

with wf.embedded(app, path=sys.argv[1]) as client:
    instance_id = client.schedule_new_workflow(hello, input="wheel")
    print(client.wait_for_workflow_completion(instance_id, timeout_in_seconds=30).serialized_output)
"""


def test_a_workflow_runs_from_the_wheel_alone(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, timeout=180)
    (wheel,) = tmp_path.glob("perdure-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    for schema in ROOT.glob("schemas/*/*.avsc"):
        assert f"perdure/_schemas/{schema.relative_to(ROOT / 'schemas')}" in names
    assert "perdure/_schemas/index.json" in names
    assert not [name for name in names if name.endswith(".whl")]
    assert "perdure/adapters/sqlite/schema.sql" in names
    assert "perdure/py.typed" in names
    program = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n{PROGRAM}"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "w.db")], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.strip() == '"hello wheel"', ran.stderr
