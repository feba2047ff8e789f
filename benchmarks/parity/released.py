"""Released code, as it is: its modules, parts of its scripts, and what these need to run.

Nothing in a clone is changed, and no file is written there. What needs a GPU or a download is given
from outside while its code is imported or runs.
"""

import ast
import contextlib
import importlib
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn


@contextlib.contextmanager
def importing(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Give a function that imports modules of a folder, all of which are forgotten afterwards.

    Several clones have a `model.py`.
    """
    before, writes = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = writes
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).resolve().is_relative_to(folder):
                del sys.modules[name]


def own_words(
    script: Path, wanted: Callable[[ast.stmt], bool], given: dict[str, Any]
) -> dict[str, Any]:
    """Run some of the statements of a script, among all that it would do when it is begun.

    Args:
        script: A script whose import would begin to train.
        wanted: Whether to run a statement.
        given: Names that the statements know; theirs are added.
    """
    tree = ast.parse(script.read_text(encoding="utf-8"))
    everything = [inner for outer in tree.body for inner in _begun_as_a_script(outer)]
    tree.body = [statement for statement in everything if wanted(statement)]
    exec(compile(tree, str(script), "exec"), given)
    return given


def _begun_as_a_script(statement: ast.stmt) -> list[ast.stmt]:
    """Return the statements that run when a script is begun and not imported, or this one."""
    guarded = isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test)
    return statement.body if guarded else [statement]  # type: ignore[attr-defined]


def defines(*names: str) -> Callable[[ast.stmt], bool]:
    """Return whether a statement defines a function of one of these names."""
    return lambda statement: isinstance(statement, ast.FunctionDef) and statement.name in names


@contextlib.contextmanager
def on_the_processor() -> Iterator[None]:
    """Let code that asks for CUDA stay where it is, and keep to itself what it prints or warns."""
    tensor_cuda, module_to = torch.Tensor.cuda, nn.Module.to

    def stays(self: nn.Module, *where: Any, **more: Any) -> nn.Module:
        asked = [*where, *more.values()]
        if any(str(device).startswith("cuda") for device in asked):
            return self
        moved: nn.Module = module_to(self, *where, **more)
        return moved

    vars(torch)["Tensor"].cuda = lambda self, *_, **__: self
    nn.Module.to = stays  # type: ignore[method-assign,assignment]
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        vars(torch)["Tensor"].cuda = tensor_cuda
        nn.Module.to = module_to  # type: ignore[method-assign]
