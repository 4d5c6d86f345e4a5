"""The README and the other pages tell the truth: links lead somewhere, commands and options exist, policies check."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import click
import pytest

from benchmarks import report
from engine_adapter.runtime.activation import Settings
from lamps_cli.main import COMMANDS, cli
from policy_dsl.loading import load_text

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("benchmarks/*.md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text()


def test_the_latencies_are_those_of_the_results() -> None:
    """As `python -m benchmarks.report` prints them."""
    assert report.table(json.loads(report.RESULTS.read_text())) in README


def _blocks(language: str, text: str = README) -> list[str]:
    return [block for name, block in BLOCK.findall(text) if name == language]


def _commands(program: str, pages: Iterable[Path] = (ROOT / "README.md",)) -> list[list[str]]:
    """The lines of sh blocks that run *program*, without its name, each once."""
    blocks = [block for page in pages for block in _blocks("sh", page.read_text())]
    lines = [line for block in blocks for line in re.sub(r"\\\n", " ", block).splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in dict.fromkeys(lines) if line.startswith(f"{program} ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("words", _commands("lamps", PAGES), ids=" ".join)
def test_commands_and_their_options_exist(words: list[str]) -> None:
    assert words[0] in COMMANDS
    context = click.Context(cli)
    command = cli.get_command(context, words[0])
    if isinstance(command, click.Group) and words[1:]:
        command, words = command.get_command(context, words[1]), words[1:]
    assert command is not None
    # serve hands options it doesn't know to vLLM.
    strict = not command.context_settings.get("ignore_unknown_options")
    known = {"--help"} | {option for parameter in command.params for option in parameter.opts}
    asked = {word for word in words[1:] if word.startswith("--")}
    assert asked <= known or not strict
    if "--help" not in words:
        command.make_context(words[0], list(words[1:]), parent=context)  # the values parse


@pytest.mark.parametrize("words", _commands("make"), ids=" ".join)
def test_make_targets_exist(words: list[str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words) <= set(targets)


@pytest.mark.parametrize("words", _commands("python"), ids=" ".join)
def test_scripts_exist(words: list[str]) -> None:
    assert (ROOT / words[0]).is_file()


def test_policies_in_the_readme_check() -> None:
    blocks = _blocks("lamps")
    assert blocks
    for text in blocks:
        loaded = load_text(text, "README.md")
        assert [finding.message for finding in loaded.diagnostics] == []
        assert loaded.policy is not None


def test_every_setting_of_plain_vllm_is_documented() -> None:
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(field.name for field in fields(Settings))
