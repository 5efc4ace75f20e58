"""The layers: who may import whom; mathematics knows neither disk nor Luigi."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {
    "pipeline/ops": {"torch", "luigi", "pandas", "os", "pathlib", "tasks", "models", "PIL", "shutil"},
    "pipeline": {"luigi", "tasks", "os", "pathlib", "shutil"},
    "models": {"luigi", "tasks", "pipeline", "os", "pathlib", "shutil"},
}
NOT_AT_MODULE_LEVEL = {"torch", "torchvision", "pytorch_grad_cam", "numba", "skimage", "pydensecrf", "cv2"}
SHARED = {
    f"pipeline.{name}"
    for name in (
        *("knobs", "knobs_labels", "knobs_training", "ranges", "loss_texts", "losses"),
        *("training", "augmentation", "cutting", "synthetic_parts", "layouts", "tables_text"),
    )
}


def imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def sources(folder: str) -> list[Path]:
    """Every file below a folder, however deep it lies."""
    return sorted((ROOT / folder).rglob("*.py"))


def case(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("folder", LAYERS)
def test_a_layer_imports_only_what_lies_below_it(folder: str) -> None:
    for path in sources(folder):
        roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text()))}
        allowed = {"pathlib"} if path.name.startswith("layouts") else set()  # PurePosixPath: names, not files
        assert not (roots & LAYERS[folder]) - allowed, case(path)


@pytest.mark.parametrize("folder", ["pipeline", "models"])
def test_the_mathematics_opens_no_file(folder: str) -> None:
    for path in sources(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            assert (
                name not in {"open", "imread", "imwrite", "read_csv", "to_csv", "read_text"} or path.name == "resnet.py"
            ), f"{case(path)}, line {getattr(node, 'lineno', 0)}"


def test_edges_never_import_other_edges() -> None:
    tops = sorted((ROOT / "pipeline").glob("*.py"))
    edges = {f"pipeline.{path.stem}" for path in tops} - SHARED - {"pipeline.__init__"}
    for path in tops:
        if not path.name.startswith("benchmarks"):  # they time the whole road
            assert not imports(ast.parse(path.read_text())) & edges, case(path)


def test_tasks_import_heavy_libraries_only_inside_functions() -> None:
    for path in sources("tasks"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.If):
                continue  # TYPE_CHECKING
            roots = (
                {name.split(".")[0] for name in imports(node)}
                if isinstance(node, ast.Import | ast.ImportFrom)
                else set()
            )
            assert not roots & NOT_AT_MODULE_LEVEL, case(path)


def test_importing_the_tasks_does_not_import_torch() -> None:
    code = "import sys, tasks; print([name for name in ('torch', 'numba', 'cv2', 'skimage') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_function_is_longer_than_forty_five_lines_and_no_file_than_three_hundred() -> None:
    for folder in ("tasks", "pipeline", "models"):
        for path in sources(folder):
            text = path.read_text()
            assert text.count("\n") <= 300, f"{case(path)} has {text.count(chr(10))} lines"
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    assert (node.end_lineno or 0) - node.lineno <= 45, f"{case(path)}: {node.name}"
