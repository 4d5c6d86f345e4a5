"""Names and signatures in the sources of a package, found without importing it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

# Imports and base classes are followed so far; vLLM's own chains are three long.
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Found:
    """What stands for a name: *node* of the module in *path*."""

    path: str
    node: ast.AST


class Sources:
    """Of the package `vllm`; *read* returns a file's text by its path in it, None where there is no such file."""

    def __init__(self, read: Callable[[str], str | None]) -> None:
        self._read = read
        self._modules: dict[str, dict[str, ast.AST] | None] = {}

    def problem(self, path: str, name: str, params: Iterable[str]) -> str:
        """Why *name* (CLASS.MEMBER, CLASS.ONE|OTHER) of a module can't be used with *params*; "" where it can."""
        if self._module(path) is None:
            return "there is no such module"
        outer, _, member = name.partition(".")
        found = self._find(path, outer, _DEEPEST)
        if found is None:
            return f"the module has no {outer}"
        if member:
            ways = (self._member(found, way, _DEEPEST) for way in member.split("|"))
            found = next((way for way in ways if way is not None), None)
            if found is None:
                return f"{outer} has no {member.replace('|', ' and no ')}"
        unknown = [param for param in params if not self._takes(found, param)]
        return f"it takes no {' and no '.join(unknown)}" if unknown else ""

    def _module(self, path: str) -> dict[str, ast.AST] | None:
        """What a module defines or imports, by name."""
        if path not in self._modules:
            text = self._read(path)
            self._modules[path] = None if text is None else dict(_defined(ast.parse(text).body))
        return self._modules[path]

    def _find(self, path: str, name: str, depth: int) -> Found | None:
        module = self._module(path)
        if module is None or name not in module:
            return None
        node = module[name]
        if isinstance(node, ast.ImportFrom) and depth:
            return self._imported(path, node, name, depth) or Found(path, node)
        return Found(path, node)

    def _imported(self, path: str, node: ast.ImportFrom, name: str, depth: int) -> Found | None:
        """Where *name* is defined that *node* brings; None where it isn't a module of the package."""
        original = next((alias.name for alias in node.names if (alias.asname or alias.name) == name), name)
        parts = (node.module or "").split(".")
        if node.level:
            folder = path.split("/")[: -node.level]
            parts = [*folder, *(part for part in parts if part)]
        elif parts[0] != "vllm":
            return None
        else:
            parts = parts[1:]
        base = "/".join(parts)
        for candidate in (f"{base}.py", f"{base}/__init__.py"):
            if self._module(candidate) is not None:
                return self._find(candidate, original, depth - 1)
        return None

    def _bases(self, found: Found, depth: int) -> Iterator[Found]:
        if isinstance(found.node, ast.ClassDef) and depth:
            for base in found.node.bases:
                plain = base.value if isinstance(base, ast.Subscript) else base
                if isinstance(plain, ast.Name) and (there := self._find(found.path, plain.id, depth - 1)) is not None:
                    yield there

    def _member(self, found: Found, name: str, depth: int) -> Found | None:
        if not isinstance(found.node, ast.ClassDef):
            return None
        own = _members(found.node).get(name)
        if own is not None:
            return Found(found.path, own)
        for base in self._bases(found, depth):
            if (there := self._member(base, name, depth - 1)) is not None:
                return there
        return None

    def _takes(self, found: Found, param: str) -> bool:
        if not isinstance(found.node, ast.ClassDef):
            return _has_param(found.node, param)
        made = self._member(found, "__init__", _DEEPEST)
        if made is None:  # a dataclass or a named tuple
            return self._member(found, param, _DEEPEST) is not None
        return _has_param(made.node, param)


def _has_param(node: ast.AST, param: str) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    given = node.args
    return given.kwarg is not None or param in {a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def _defined(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Names that statements of a module or class bind, those under `if` and `try` too."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node
            case ast.Import() | ast.ImportFrom():
                yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in node.names)
            case ast.Assign(targets=targets):
                yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.If():
                yield from _defined([*node.orelse, *node.body])
            case ast.Try():
                yield from _defined([*node.body, *(s for handler in node.handlers for s in handler.body)])


def _members(node: ast.ClassDef) -> dict[str, ast.AST]:
    """What a class defines, and the attributes that its methods give to `self` or name in `__slots__`."""
    found: dict[str, ast.AST] = {}
    for method in node.body:
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= {name: part for part in ast.walk(method) for name in _set_on_self(part)}
    return found | dict(_defined(node.body))


def _set_on_self(node: ast.AST) -> Iterator[str]:
    targets: list[ast.expr] = []
    match node:
        case ast.Assign():
            targets = node.targets
        case ast.AnnAssign():
            targets = [node.target]
    for target in targets:
        for part in target.elts if isinstance(target, ast.Tuple) else [target]:
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
                yield part.attr
