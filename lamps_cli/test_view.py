"""What `lamps test` shows: results of tests, for people and for machines, and what they reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args
from xml.sax.saxutils import escape

import click

from lamps_cli.output import wants_colour, write, write_json

if TYPE_CHECKING:
    from policy_dsl.coverage import Coverage
    from policy_dsl.diagnostics.model import Diagnostic
    from policy_dsl.testing import Failure, TestResult

Format = Literal["full", "concise", "json", "junit"]
FORMATS: tuple[str, ...] = get_args(Format)
FOR_PEOPLE: tuple[Format, ...] = ("full", "concise")


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of one file. *errors*: why none of its tests could run."""

    path: str
    results: tuple[TestResult, ...] = ()
    errors: tuple[Diagnostic, ...] = ()
    coverage: Coverage | None = None

    @property
    def passed(self) -> bool:
        return not self.errors and all(result.passed for result in self.results)


def show(tested: Sequence[Tested], form: Format, coverage: Coverage | None) -> None:
    """Everything to stdout."""
    match form:
        case "full":
            for one in tested:
                _full(one)
            if coverage is not None:
                write(said(coverage))
        case "concise":
            for one in tested:
                _concise(one)
            if coverage is not None:
                write(said(coverage))
        case "json":
            write_json(as_document(tested, coverage))
        case "junit":
            write(as_junit(tested))


# --- for people


def _full(one: Tested) -> None:
    from policy_dsl.diagnostics.full import render

    write(click.style(one.path, bold=True) if wants_colour() else one.path)
    for error in one.errors:
        write(render(error, colour=wants_colour()) + "\n")
    for result in one.results:
        word, hue = ("ok", "green") if result.passed else ("FAIL", "red")
        mark = click.style(f"{word:4}", fg=hue) if wants_colour() else f"{word:4}"
        write(f"  {mark}  {result.name}")
        for failure in result.failures:
            write(_shown(failure))
    if not one.results and not one.errors:
        write("  no tests")


def _shown(failure: Failure) -> str:
    """The expectation with carets under it, and the value of every part."""
    from policy_dsl.diagnostics.full import render
    from policy_dsl.diagnostics.model import Diagnostic, Severity

    finding = Diagnostic("expect", Severity.ERROR, failure.said, failure.span)
    lines = render(finding, colour=wants_colour()).splitlines()
    width = max((len(name) for name, _ in failure.values), default=0)
    lines += [f"    {name:<{width}}  {value}" for name, value in failure.values]
    return "\n".join(f"        {line}".rstrip() for line in lines) + "\n"


def _concise(one: Tested) -> None:
    from policy_dsl.diagnostics.concise import render

    for error in one.errors:
        write(render(error))
    for result in one.results:
        for failure in result.failures:
            values = "; ".join(f"{name}: {value}" for name, value in failure.values)
            at = f"{failure.span.source.path}:{failure.span.line}:{failure.span.column}"
            write(f'{at}: FAIL "{result.name}": {failure.said}' + (f" ({values})" if values else ""))


def said(coverage: Coverage) -> str:
    """How much of the policies the tests decided something with, and where they did not."""
    reached = len(coverage.points) - len(coverage.missed)
    share = f"{reached / len(coverage.points):.0%}" if coverage.points else "100%"
    lines = [f"coverage: {reached} of {len(coverage.points)} statements, arms and branches ({share})"]
    lines += [f"  {p.path}:{p.line}:{p.column}: no test reaches {p.what}" for p in coverage.missed]
    return "\n".join(lines)


def counted(tested: Sequence[Tested]) -> str:
    """`7 passed, 1 failed in 2 files`."""
    results = [result for one in tested for result in one.results]
    failed = sum(not result.passed for result in results)
    wrong = sum(bool(one.errors) for one in tested)
    words = [f"{len(results) - failed} passed", *([f"{failed} failed"] if failed else [])]
    words += [f"{wrong} {'policy' if wrong == 1 else 'policies'} with errors"] if wrong else []
    return f"{', '.join(words)} in {len(tested)} file{'s' * (len(tested) != 1)}"


# --- for machines


def as_document(tested: Sequence[Tested], coverage: Coverage | None) -> dict[str, Any]:
    from policy_dsl.diagnostics.json import as_json

    files = [
        {
            "path": one.path,
            "passed": one.passed,
            "errors": [as_json(error) for error in one.errors],
            "tests": [_test(result) for result in one.results],
        }
        for one in tested
    ]
    document: dict[str, Any] = {"passed": all(one.passed for one in tested), "files": files}
    if coverage is not None:
        points = [
            {"what": p.what, "path": p.path, "line": p.line, "column": p.column, "reached": p in coverage.reached}
            for p in coverage.points
        ]
        document["coverage"] = {"reached": len(points) - len(coverage.missed), "points": points}
    return document


def _test(result: TestResult) -> dict[str, Any]:
    failures = [
        {"message": f.message, "at_s": f.at_s, "line": f.span.line, "column": f.span.column, "values": dict(f.values)}
        for f in result.failures
    ]
    return {"name": result.name, "line": result.span.line, "passed": result.passed, "failures": failures}


def as_junit(tested: Sequence[Tested]) -> str:
    """A suite for each file, a case for each test; a policy with errors is a case that could not run."""
    suites, tests, failures, errors = [], 0, 0, 0
    for one in tested:
        cases = list(_cases(one))
        failed, broken = sum(not r.passed for r in one.results), int(bool(one.errors))
        tests, failures, errors = tests + len(cases), failures + failed, errors + broken
        counts = _counts(len(cases), failed, broken)
        suites.append(f"  <testsuite name={_quoted(one.path)} {counts}>\n{''.join(cases)}  </testsuite>\n")
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites {_counts(tests, failures, errors)}>\n'
    return f"{head}{''.join(suites)}</testsuites>"


def _cases(one: Tested) -> Iterator[str]:
    from policy_dsl.diagnostics.concise import render

    if one.errors:
        yield _case(one, "policy", "error", "the policy has errors", "\n".join(map(render, one.errors)))
    for result in one.results:
        lines = [
            "\n".join([f"line {f.span.line}: {f.said}", *(f"  {name}: {value}" for name, value in f.values)])
            for f in result.failures
        ]
        message = result.failures[0].said if result.failures else ""
        yield _case(one, result.name, "failure", message, "\n".join(lines))


def _case(one: Tested, name: str, kind: str, message: str, body: str) -> str:
    from policy_dsl.diagnostics.junit import clean

    opening = f"    <testcase name={_quoted(name)} classname={_quoted(one.path)}"
    if not message:
        return f"{opening}/>\n"
    inside = f"      <{kind} message={_quoted(message)}>{escape(clean(body))}</{kind}>"
    return f"{opening}>\n{inside}\n    </testcase>\n"


def _counts(tests: int, failures: int, errors: int) -> str:
    return f'tests="{tests}" failures="{failures}" errors="{errors}"'


def _quoted(text: str) -> str:
    from policy_dsl.diagnostics.junit import attribute

    return attribute(text)
