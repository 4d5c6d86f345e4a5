"""What importing costs: packages that must start fast, or without an engine, load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"vllm", "torch", "transformers", "rich", "textual", "click", "pydantic", "numpy", "httpx"}

CASES = [
    ("policy_dsl.loading", HEAVY),
    ("policy_dsl.catalogue", HEAVY),
    ("policy_dsl.compiled", HEAVY),
    ("engine_adapter.workload.replay", {"vllm", "torch", "transformers", "textual", "pydantic", "numpy"}),
    ("tui.app", {"vllm", "torch", "transformers", "numpy", "click", "pydantic", "policy_dsl"}),
    ("engine_adapter.runtime.core", {"vllm", "torch", "transformers", "rich", "textual", "click"}),
]


@pytest.mark.parametrize(("module", "forbidden"), CASES)
def test_a_module_loads_nothing_heavy(module: str, forbidden: set[str]) -> None:
    code = f"import sys, {module}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & forbidden
