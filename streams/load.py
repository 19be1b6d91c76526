"""Pipeline files: imported by path, under a module name of their own."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from dataclasses import fields
from pathlib import Path
from types import ModuleType

from headrace.schemas.errors import DeclarationError
from headrace.streams.pipeline import (
    Alarms,
    Cost,
    InEvent,
    Labels,
    Monitor,
    Pipeline,
    Source,
    Threshold,
)
from headrace.streams.places import suggestion

_DECLARATIONS = (Pipeline, Source, Labels, InEvent, Threshold, Cost, Monitor, Alarms)


def load_pipeline(path: Path | str, name: str | None = None) -> Pipeline:
    """Return the pipeline that a file declares.

    Parameters
    ----------
    path
        The file.
    name
        Which of several, by its own name.

    Raises
    ------
    DeclarationError
        With one sentence that says what is wrong with the file.
    """
    found = {each.name: each for each in load_pipelines(path)}
    if name is not None and name not in found:
        hint = suggestion(name, found)
        raise DeclarationError([f"{path} declares no pipeline called {name!r}. {hint}"])
    if name is None and len(found) > 1:
        said = f"{path} declares {len(found)} pipelines: {', '.join(found)}. Name one of them."
        raise DeclarationError([said])
    return found[name] if name is not None else next(iter(found.values()))


def load_pipelines(path: Path | str) -> list[Pipeline]:
    """Return all pipelines that a file declares, in the order of their names in it.

    The file becomes a module ``headrace_file_<stem>``: it shadows no other module, whatever it is
    called, and functions keep their module's name when its folder is moved. Modules beside it can
    be imported, after all others of their names.

    Raises
    ------
    DeclarationError
        The file cannot be read or imported, declares no pipeline, or two of one name.
    """
    module = _imported(Path(path))
    found = {id(each): each for each in vars(module).values() if isinstance(each, Pipeline)}
    if not found:
        said = f"{path} declares no pipeline at its top level. Write: name = Pipeline(...)."
        raise DeclarationError([said])
    names = [str(each.name) for each in found.values()]
    if len(set(names)) < len(names):
        said = f"{path} declares two pipelines of one name: {', '.join(names)}."
        raise DeclarationError([f"{said} Their topics would be the same: name each its own."])
    return list(found.values())


def _imported(path: Path) -> ModuleType:
    if path.suffix != ".py" or not path.is_file():
        raise DeclarationError([f"{path} is no Python file. Give the path of a pipeline file."])
    name = "headrace_file_" + re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.modules[name] = module
    sys.path.append(folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise DeclarationError([_sentence(path, error)]) from error
    finally:
        sys.path.remove(folder)
    return module


def _sentence(path: Path, error: BaseException) -> str:
    """Return what stopped an import, with the line of the user's own file."""
    resolved = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename == resolved:
        return f"{path}, line {error.lineno}: {error.msg}."
    own = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == resolved
    ]
    line = f", line {own[-1]}" if own else ""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{path}{line}: {type(error).__name__}: {text or 'no further word'}.{_owner(text)}"


def _owner(text: str) -> str:
    """Say where an argument belongs that a declaration does not take, or what was meant."""
    wrong = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text)
    takes = {each.__name__: {f.name for f in fields(each)} - {"place"} for each in _DECLARATIONS}
    if wrong is None or wrong[1] not in takes:
        return ""
    owners = [f"{name}({wrong[2]}=...)" for name, names in takes.items() if wrong[2] in names]
    if owners:
        return f" It belongs to {' or '.join(owners)}."
    return f" {suggestion(wrong[2], sorted(takes[wrong[1]]))}"
