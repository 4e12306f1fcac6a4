"""The shape of the code: what may import what, what is nowhere, and how long things are. Read from the source, nothing is run."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "flawsight"
FILES = {path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", "."): path for path in ROOT.rglob("*.py")}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items()}

# Imports point down, or sideways within a layer, but never in a circle.
LAYERS = [
    {"__main__"},
    {"cli", "cli_backbones", "cli_datasets", "cli_tables", "exits", "options"},
    {
        "bench",
        "catalogue",
        "comparing",
        "cues",
        "demo",
        "evaluation",
        "extremes",
        "fitting",
        "forecast",
        "holding",
        "inspecting",
        "judging",
        "known_defects",
        "plate",
        "presets",
        "rehearsal",
        "report",
        "series",
        "sharing",
        "speeds",
        "tables",
    },
    {"bundle", "crops", "datasets", "loader", "manifest", "model", "training"},
    {"metrics"},
    {"methods"},
    {"backbones", "parts"},
    {
        "classes",
        "decoding",
        "deep",
        "errors",
        "files",
        "formats",
        "frames",
        "image",
        "interrupts",
        "maskfiles",
        "memory",
        "outlines",
        "outputs",
        "png",
        "preprocess",
        "record",
        "regions",
        "threads",
        "outlying",
        "threshold",
        "traits",
        "types",
    },
]
DEPTH = {part: depth for depth, layer in enumerate(LAYERS) for part in layer}
FRONT = "flawsight"  # the front door fetches names when they are first used, so it may name anything; all may ask it its version

MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 50  # docstrings not counted
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LEARNING = {"torch", "torchvision", "timm", "tensorflow", "jax"}
TORCH = {
    "flawsight.backbones.torch",
    "flawsight.backbones.gpu",
    "flawsight.parts.gpu",
    "flawsight.parts.attention",
    "flawsight.parts.augment",
    "flawsight.parts.autoencoder",
    "flawsight.parts.descend",
    "flawsight.parts.energy",
    "flawsight.parts.export",
    "flawsight.parts.flows",
    "flawsight.parts.guided",
    "flawsight.parts.patch_encoders",
    "flawsight.parts.patch_networks",
    "flawsight.parts.gan",
    "flawsight.parts.projection",
    "flawsight.parts.ssim",
    "flawsight.parts.unet",
    "flawsight.parts.variational",
    "flawsight.parts.wide_resnet",
}  # the only rooms where it is, entered by functions alone
LEARNERS = {
    "flawsight.methods.ae_ssim",
    "flawsight.methods.cavga_rw",
    "flawsight.methods.differnet",
    "flawsight.methods.dsebm",
    "flawsight.methods.expvae",
    "flawsight.methods.gamma_vae_grad",
    "flawsight.methods.ganomaly",
    "flawsight.methods.geotrans",
    "flawsight.methods.patch_svdd",
    "flawsight.methods.student",
    "flawsight.methods.itae",
}  # methods that learn by gradient: torch inside their functions

each_module = pytest.mark.parametrize("module", MODULES)


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def is_for_types(node: ast.AST) -> bool:
    """Whether it is a block that only type checkers read."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def walk(node: ast.AST, for_types: bool = True) -> Iterator[ast.AST]:
    if for_types or not is_for_types(node):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from walk(child, for_types)


def imports(module: str, for_types: bool = True) -> set[str]:
    """Full names of the modules it imports, here or in a function; those of flawsight down to the file."""
    found = set()
    for node in walk(tree(module), for_types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            home = str(node.module)
            found |= {f"{home}.{alias.name}" if f"{home}.{alias.name}" in MODULES else home for alias in node.names}
    return found


def at_import(module: str) -> list[ast.AST]:
    """The import statements that run when the module is imported: those in no function, and not for types alone."""
    found: list[ast.AST] = []
    left: list[ast.AST] = [tree(module)]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_for_types(node):
            left += ast.iter_child_nodes(node)
    return found


def imported(node: ast.AST) -> set[str]:
    """Full names of all that an import statement may fetch."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    assert isinstance(node, ast.ImportFrom)
    return {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}


def part(module: str) -> str:
    return module.split(".")[1]


def own_imports(module: str, for_types: bool = True) -> set[str]:
    return {name for name in imports(module, for_types) if name in MODULES} - {FRONT}


def code_lines(node: ast.AST) -> int:
    """Lines from first to last, less those of the docstrings inside."""
    first = 1 if isinstance(node, ast.Module) else node.lineno  # type: ignore[attr-defined]
    last = max((child.end_lineno for child in ast.walk(node) if hasattr(child, "end_lineno")), default=0)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    texts = [child.body[0] for child in ast.walk(node) if isinstance(child, documented) and ast.get_docstring(child) is not None]
    return int(last - first + 1 - sum((text.end_lineno or text.lineno) - text.lineno + 1 for text in texts))


def test_every_module_has_its_layer() -> None:
    assert {part(module) for module in MODULES if module != FRONT} == set(DEPTH)


@each_module
def test_imports_point_down(module: str) -> None:
    if module == FRONT:
        return
    upward = {name for name in own_imports(module) if DEPTH[part(name)] < DEPTH[part(module)]}
    assert not upward


def test_imports_go_in_no_circle() -> None:
    # Importing flawsight.x.y runs flawsight.x first, unless it is that package's own file.
    graph = {module: own_imports(module, for_types=False) - {module} for module in MODULES if module != FRONT}
    assert list(graphlib.TopologicalSorter(graph).static_order())


def test_the_front_door_imports_nothing_by_itself() -> None:
    assert imports(FRONT, for_types=False) == {"__future__", "importlib", "typing"}


def test_the_network_runtimes_stay_in_their_file() -> None:
    users = {module for module in MODULES if any(name.split(".")[0] in ("onnxruntime", "openvino") for name in imports(module))}
    assert users == {"flawsight.backbones.onnx"}


@each_module
def test_no_torch_and_no_pickle(module: str) -> None:
    here = {name for name in imports(module) if name.split(".")[0] in LEARNING}
    if module in LEARNERS:
        assert here == {"torch"}
        assert not [node for node in at_import(module) if "torch" in imported(node)]
    else:
        assert module in TORCH or not here
    assert not {name for name in imports(module) if name.split(".")[0] in PICKLES}
    assert not [
        node
        for node in ast.walk(tree(module))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", None) is not False
    ]


@each_module
def test_rooms_with_torch_are_entered_by_functions_alone(module: str) -> None:
    assert module in TORCH or not TORCH & set().union(*map(imported, at_import(module)))


@each_module
def test_only_image_reads_and_writes_picture_files(module: str) -> None:
    pillow = {
        name for name in imports(module, for_types=False) if name.split(".")[0] in ("PIL", "cv2", "imageio", "kornia_rs", "skimage")
    }
    if module in ("flawsight.image", "flawsight.decoding") or not pillow:
        return
    codecs = {"open", "save", "frombytes", "frombuffer"}
    calls = [
        node.func.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert not codecs & set(calls)
    assert pillow == {"PIL"}


@each_module
def test_the_library_does_not_print(module: str) -> None:
    calls = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    if not module.startswith(("flawsight.cli", "flawsight.exits", "flawsight.options", "flawsight.report.")):
        assert not {"rich", "typer", "click"} & {name.split(".")[0] for name in imports(module)}


@each_module
def test_files_are_short(module: str) -> None:
    assert code_lines(tree(module)) <= MAX_FILE_LINES


@each_module
def test_functions_are_short(module: str) -> None:
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert not {node.name: code_lines(node) for node in functions if code_lines(node) > MAX_FUNCTION_LINES}


@each_module
def test_options_are_named(module: str) -> None:
    """No function takes **kwargs, which would swallow a misspelt option, but wrappers that pass everything on."""
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef)]
    assert not [node.name for node in functions if node.args.kwarg and not node.args.vararg]
