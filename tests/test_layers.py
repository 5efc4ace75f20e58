"""The layout is the figure: who may import whom, what lies at the top of a folder, and how long anything may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tasks", "pipeline", "models")
FORBIDDEN = {
    "pipeline": {"luigi", "tasks", "os", "pathlib", "shutil"},
    "models": {"luigi", "tasks", "pipeline", "os", "pathlib", "shutil"},
    "pipeline/ops": {"torch", "pandas", "models", "PIL"},
    "pipeline/knobs": {"torch", "pandas", "models", "numpy"},
}
NAMES_NOT_FILES = {"pipeline/layouts"}  # PurePosixPath touches no file
HEAVY = {"torch", "torchvision", "pytorch_grad_cam", "numba", "skimage", "pydensecrf", "cv2"}
# floors of tasks/, from the ground up: a file imports from its own floor and from those below; "" is the figure
FLOORS = (("core", "core.engines"), ("intake",), ("", "reports", "photos", "serving"), ("questions",), ("bench",))
SHARED_BASES = {"image_stage", "labels", "lesson", "supervision"}  # of the stages at the top of tasks/
FIGURE = {
    *("demo_photos", "generated", "dataset", "patches", "classifier", "patch_maps", "cams", "threshold_maps"),
    *(
        "edge_maps",
        "pseudo_labels",
        "crf_search",
        "crf_labels",
        "merge_weights",
        "merged_labels",
        "round_labels",
        "segmenter",
        "predictions",
        "refinements",
        "scores",
    ),
    *("diagnosis", "tune_labels", "tables"),
}


def sources(folder: str) -> list[Path]:
    """Every file below a folder, however deep it lies."""
    return sorted((ROOT / folder).rglob("*.py"))


def case(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(node: ast.AST) -> set[str]:
    """Modules, and names from modules, which may be modules too."""
    found: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            found |= {alias.name for alias in part.names}
        if isinstance(part, ast.ImportFrom) and part.module:
            found |= {part.module, *(f"{part.module}.{alias.name}" for alias in part.names)}
    return found


def at_module_level(path: Path) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported; those for type checkers do not."""
    return (node for node in tree(path).body if not isinstance(node, ast.If))


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_layer_imports_only_what_lies_below_it(folder: str) -> None:
    for path in sources(folder):
        roots = {name.split(".")[0] for name in imports(tree(path))}
        names = any(case(path).startswith(f"{allowed}/") for allowed in NAMES_NOT_FILES)
        assert not (roots & FORBIDDEN[folder]) - ({"pathlib"} if names else set()), case(path)


@pytest.mark.parametrize("folder", ["pipeline", "models"])
def test_the_mathematics_opens_no_file(folder: str) -> None:
    for path in sources(folder):
        for node in ast.walk(tree(path)):
            called = node.func if isinstance(node, ast.Call) else None
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            assert name not in {"open", "imread", "imwrite", "read_csv", "to_csv", "read_text"}, (
                f"{case(path)}, line {getattr(node, 'lineno', 0)}"
            )


def test_the_top_of_pipeline_holds_edges_only_and_no_edge_imports_another() -> None:
    edges = [path for path in (ROOT / "pipeline").glob("*.py") if path.stem != "__init__"]
    names = {module(path) for path in edges}
    for path in edges:
        assert re.fullmatch(r"[a-z_]+_to_[a-z_]+", path.stem), f"{case(path)} is no x_to_y"
        assert not imports(tree(path)) & names, case(path)


def test_the_top_of_tasks_holds_the_stages_of_the_figure_and_their_shared_bases() -> None:
    found = {path.stem for path in (ROOT / "tasks").glob("*.py")} - {"__init__"}
    assert found == FIGURE | SHARED_BASES
    assert len(found) + 1 <= 27
    for name in FIGURE:
        classes = [node.name for node in tree(ROOT / "tasks" / f"{name}.py").body if isinstance(node, ast.ClassDef)]
        assert "".join(part.capitalize() for part in name.split("_")) in classes, name


def test_tasks_import_downwards_only() -> None:
    def floor(name: str) -> int:
        _, *folders, _ = name.split(".")
        return next(number for number, floor in enumerate(FLOORS) if ".".join(folders) in floor)

    files = {module(path): path for path in sources("tasks") if path.stem != "__init__"}
    for name, path in files.items():
        for other in imports(tree(path)) & files.keys():
            assert floor(other) <= floor(name), f"{name} imports {other}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_through_others(package: str) -> None:
    files = {module(path): path for path in sources(package)}
    below = {name: imports(tree(path)) & files.keys() - {name, package} for name, path in files.items()}
    while below:
        ground = {name for name, wanted in below.items() if not wanted & below.keys()}
        assert ground, f"a circle among {sorted(below)}"
        below = {name: wanted for name, wanted in below.items() if name not in ground}


def test_tasks_import_heavy_libraries_only_inside_functions() -> None:
    for path in sources("tasks"):
        for node in at_module_level(path):
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not {name.split(".")[0] for name in imports(node)} & HEAVY, case(path)


def test_importing_the_tasks_does_not_import_torch() -> None:
    code = "import sys, tasks; print([name for name in ('torch', 'numba', 'cv2', 'skimage') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def length(node: ast.stmt) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_too_long_to_be_read_in_a_sitting(package: str) -> None:
    for path in sources(package):
        assert path.read_text().count("\n") <= 300, case(path)
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert length(node) <= 40, f"{case(path)}: {node.name} has {length(node)} lines"
            if isinstance(node, ast.ClassDef):
                assert length(node) <= 120, f"{case(path)}: {node.name} has {length(node)} lines"


def classes() -> dict[str, tuple[Path, ast.ClassDef]]:
    """Every class of the packages, by its module and name."""
    found = {}
    for path in (path for package in PACKAGES for path in sources(package)):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                found[f"{module(path)}.{node.name}"] = (path, node)
    return found


def test_classes_are_shallow_and_few_are_abstract() -> None:
    every = classes()
    by_name = {name.rsplit(".", 1)[1]: node for name, (_, node) in every.items()}

    def bases(node: ast.ClassDef) -> list[str]:
        heads = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
        return [head.id for head in heads if isinstance(head, ast.Name) and head.id in by_name and head.id != node.name]

    def depth(node: ast.ClassDef) -> int:
        return 1 + max((depth(by_name[name]) for name in bases(node)), default=0)

    for name, (_, node) in every.items():
        assert depth(node) <= 4, f"{name} has depth {depth(node)}"  # Stage, ImageStage, LabelStage, PseudoLabels
    abstract = [name for name, (_, node) in every.items() if "abstractmethod" in ast.unparse(node)]
    assert len(abstract) <= 3, abstract


def test_any_is_a_last_resort() -> None:
    lines = [line for path in sources("tasks") for line in path.read_text().splitlines() if re.search(r"\bAny\b", line)]
    assert len(lines) <= 40, len(lines)
