"""`extends`, `include` and `drop`: the files a policy is made of, as one list of statements.

A policy takes over all that its parent states but tests, title, suppressions and budget. Of what
there is one (`rank`, `on call`, ...) its own replaces the parent's; limits go by name, classes all
together. Definitions of both are kept: the checker decides what `override` replaces.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from policy_dsl import nodes
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Label, Severity, Source, Span
from policy_dsl.names import did_you_mean

DEEPEST = 4  # files that extend, or include, one another
SHIPPED = Path(__file__).parents[1] / "policies"  # where `extends lamps` finds it when it isn't beside the file

_SLOTS: dict[type, str] = {
    nodes.RankStatement: "rank", nodes.YieldStatement: "yield", nodes.VictimStatement: "victim",
    nodes.OnCallStatement: "on call", nodes.PausedStatement: "while paused", nodes.AdmitStatement: "admit",
    nodes.PromoteStatement: "promote", nodes.ClassStatement: "class",
}  # fmt: skip
_BROKEN_SLOTS = {"on": "on call", "while": "while paused"}
_DEFINING = ("param", "let", "hint")


@dataclass(frozen=True, slots=True)
class File:
    """One file that was read, its syntax and what is wrong with that. *path* is None for a text without file."""

    source: Source
    path: Path | None
    statements: tuple[nodes.Statement, ...]
    diagnostics: tuple[Diagnostic, ...]


Read = Callable[[Path], File]  # raises OSError


@dataclass(slots=True)
class Composed:
    """*statements* in the order in which names become visible, inherited ones first.

    *sources*: all files but the first.
    """

    statements: list[nodes.Statement] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)


def compose(file: File, read: Read) -> Composed:
    """What *file* amounts to with the files it is built on. Errors are findings at `extends` and `include`."""
    composer = _Composer(read)
    composer.made.statements = composer.flatten(file, (file.path,))
    return composer.made


def slot(s: nodes.Statement) -> str:
    """What a statement replaces in a parent ("rank", "limit pinned"); "" for what is kept beside the parent's."""
    match s:
        case nodes.LimitStatement():
            return f"limit {s.name.name}"
        case nodes.Broken(keyword="limit"):
            return f"limit {s.name}"
        case nodes.Broken():
            word = _BROKEN_SLOTS.get(s.keyword, s.keyword)
            return word if word in _SLOTS.values() else ""
        case _:
            return _SLOTS.get(type(s), "")


class _Composer:
    def __init__(self, read: Read) -> None:
        self.made = Composed()
        self._read = read
        self._included: set[Path | None] = set()

    def flatten(self, file: File, chain: tuple[Path | None, ...]) -> list[nodes.Statement]:
        """The statements of *file* with what it includes in place, and what it inherits before."""
        own: list[nodes.Statement] = []
        parents = [s for s in file.statements if isinstance(s, nodes.ExtendsStatement)]
        for other in parents[1:]:
            label = (Label(parents[0].span, "the first one"),)
            self._error(codes.REPEATED, "a policy extends one other", other.span, labels=label)
        for s in file.statements:
            if isinstance(s, nodes.IncludeStatement):
                own += self._include(s, file, chain)
            elif not isinstance(s, nodes.ExtendsStatement):
                own.append(s)
        inherited = self._parent(parents[0], file, chain) if parents else []
        return self._inherit(inherited, own, parents[0] if parents else None)

    # --- extends and drop

    def _parent(
        self, s: nodes.ExtendsStatement, file: File, chain: tuple[Path | None, ...]
    ) -> list[nodes.Statement] | None:
        """What is taken over; None where the parent could not be read."""
        if isinstance(s.parent, nodes.Text):
            path = _beside(file, s.parent.value)
        else:
            name = s.parent.name + ".lamps"
            path = _beside(file, name)
            if not _is_file(path) or _resolved(path) == _resolved(file.path):
                path = SHIPPED / name
        parent = self._open(s, s.parent.span, path, chain)
        if parent is None:
            return None
        kept = self.flatten(parent, (*chain, _resolved(path)))
        alone = (nodes.PolicyStatement, nodes.TestStatement, nodes.BudgetStatement)
        return [k for k in kept if not isinstance(k, alone)]

    def _inherit(
        self, found: list[nodes.Statement] | None, own: list[nodes.Statement], extends: nodes.ExtendsStatement | None
    ) -> list[nodes.Statement]:
        inherited = found or []
        stated = {slot(s): s for s in own if slot(s)}
        known = {slot(s) for s in inherited if slot(s)}
        dropped = set()
        for drop in (s for s in own if isinstance(s, nodes.DropStatement)):
            what = f"limit {drop.limit.name}" if drop.limit is not None else drop.what
            if found is not None:
                self._check_drop(drop, what, known, stated, extends)
            dropped.add(what)
        kept = [s for s in inherited if slot(s) not in stated and slot(s) not in dropped]
        return [*kept, *(s for s in own if not isinstance(s, nodes.DropStatement))]

    def _check_drop(
        self,
        drop: nodes.DropStatement,
        what: str,
        known: set[str],
        stated: dict[str, nodes.Statement],
        extends: nodes.ExtendsStatement | None,
    ) -> None:
        if not drop.reason.value.strip():
            self._error(codes.DROP, "say why it is left out", drop.reason.span)
        if extends is None:
            message, help = "nothing is inherited that could be dropped", "`drop` goes with `extends`"
            self._error(codes.DROP, message, drop.span, help)
        elif what in stated:
            label = (Label(stated[what].span, "stated here"),)
            help = "remove the `drop`: a policy's own statement replaces the parent's"
            self._error(codes.DROP, f"`{what}` is dropped and stated", drop.span, help, label)
        elif what not in known:
            help = did_you_mean(what, known) or ("it has: " + ", ".join(sorted(known)) if known else "")
            label = (Label(extends.span, "this is the parent"),)
            self._error(codes.DROP, f"the parent has no `{what}`", drop.span, help, label)

    # --- include

    def _include(self, s: nodes.IncludeStatement, file: File, chain: tuple[Path | None, ...]) -> list[nodes.Statement]:
        path = _beside(file, s.path.value)
        included = self._open(s, s.path.span, path, chain)
        if included is None or _resolved(path) in self._included:
            return []
        self._included.add(_resolved(path))
        kept = []
        for inner in included.statements:
            match inner:
                case nodes.IncludeStatement():
                    kept += self._include(inner, included, (*chain, _resolved(path)))
                case nodes.ParamStatement() | nodes.LetStatement():
                    kept.append(inner)
                case nodes.Broken() if inner.keyword in _DEFINING:
                    kept.append(inner)
                case nodes.Broken():
                    pass
                case _:
                    label = (Label(inner.span, "this is something else"),)
                    message, help = "an included file has lets and params only", "to build on a policy, write `extends`"
                    self._error(codes.INCLUDED, message, s.span, help, label)
        return kept

    # --- files

    def _open(self, s: nodes.Statement, span: Span, path: Path, chain: tuple[Path | None, ...]) -> File | None:
        word = "extends" if isinstance(s, nodes.ExtendsStatement) else "include"
        if _resolved(path) in map(_resolved, chain):
            names = " -> ".join(f"`{p.name}`" for p in (*chain, path) if p is not None)
            self._error(codes.CHAIN, f"these files {word.removesuffix('s')} one another", span, f"the circle: {names}")
            return None
        if len(chain) > DEEPEST:
            self._error(codes.CHAIN, f"policies are built on one another at most {DEEPEST} deep", span)
            return None
        try:
            if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would be waited for
                raise OSError(errno.EINVAL, "not a file")
            file = self._read(path)
        except (OSError, ValueError) as problem:  # ValueError: a zero byte in the path
            help = _nearby(path, file_name(s), word) if isinstance(problem, FileNotFoundError) else ""
            self._error(codes.NOT_FOUND, _unreadable(path, problem), span, help)
            return None
        self.made.sources.append(file.source)
        self.made.diagnostics += [d for d in file.diagnostics if d not in self.made.diagnostics]
        return file

    def _error(self, code: str, message: str, span: Span, help: str = "", labels: tuple[Label, ...] = ()) -> None:
        found = Diagnostic(code, Severity.ERROR, message, span, labels=labels, help=help)
        if found not in self.made.diagnostics:
            self.made.diagnostics.append(found)


def file_name(s: nodes.Statement) -> str:
    """The file as the statement says it; "" for a policy by name."""
    match s:
        case nodes.IncludeStatement(path=text) | nodes.ExtendsStatement(parent=nodes.Text() as text):
            return text.value
        case _:
            return ""


def _beside(file: File, name: str) -> Path:
    """A path as seen from the folder of *file*."""
    return Path(file.path.parent if file.path is not None else ".", name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _resolved(path: Path | None) -> Path | None:
    """The one name of a file; *path* as it is where that can't be found out (too long, links in a circle)."""
    try:
        return None if path is None else path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def _unreadable(path: Path, problem: OSError | ValueError) -> str:
    shown = path.name if path.is_relative_to(SHIPPED) else path
    if isinstance(problem, FileNotFoundError):
        return f"there is no policy `{path.stem}`" if path.is_relative_to(SHIPPED) else f"there is no file `{shown}`"
    said = problem.strerror if isinstance(problem, OSError) else None
    return f"`{shown}` cannot be read" + (f": {said.lower()}" if said else "")


def _nearby(path: Path, said: str, word: str) -> str:
    """What may have been meant: a file in the same folder, or a shipped policy."""
    if not said:
        stems = [p.stem for p in SHIPPED.glob("*.lamps")]
        return did_you_mean(path.stem, stems) or "shipped policies: " + ", ".join(sorted(stems))
    try:
        beside = sorted(Path(said).with_name(p.name).as_posix() for p in path.parent.glob("*.lamps"))
    except (OSError, ValueError):
        beside = []
    return did_you_mean(said, beside) or f"paths are seen from the file that says `{word}`"
