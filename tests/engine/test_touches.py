"""What lamps relies on in vLLM is found in the installed release, and its absence elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine_adapter.vllm import touches
from engine_adapter.vllm.sources import Sources

SCHEDULER = "v1/core/sched/scheduler.py"
MANAGER = "v1/core/kv_cache_manager.py"


@pytest.fixture(scope="module")
def read() -> Callable[[str], str | None]:
    spec = find_spec("vllm")
    assert spec is not None and spec.submodule_search_locations
    return touches.reader(Path(spec.submodule_search_locations[0]))


def test_the_installed_release_has_all() -> None:
    assert touches.lacking_here() == []


@pytest.mark.parametrize(
    ("path", "before", "after", "said"),
    [
        (SCHEDULER, "def _free_request(", "def _release_request(", "Scheduler has no _free_request"),
        (SCHEDULER, "max_num_running_reqs", "most_running", "Scheduler has no max_num_running_reqs"),
        (MANAGER, "num_new_tokens", "new_tokens", "it takes no num_new_tokens"),
        ("v1/request.py", "class Request:", "class Job:", "the module has no Request"),
        ("v1/core/block_pool.py", "num_gpu_blocks", "blocks_in_all", "BlockPool has no num_gpu_blocks"),
    ],
)
def test_what_is_gone_is_named(
    read: Callable[[str], str | None], path: str, before: str, after: str, said: str
) -> None:
    def changed(name: str) -> str | None:
        text = read(name)
        return text.replace(before, after) if text is not None and name == path else text

    found = touches.lacking(changed)
    assert any(said in line and path[:-3].replace("/", ".") in line for line in found), found


def test_a_module_that_is_gone_is_named(read: Callable[[str], str | None]) -> None:
    found = touches.lacking(lambda name: None if name == "v1/kv_offload/base.py" else read(name))
    assert any("vllm.v1.kv_offload.base.make_offload_key" in line and "no such module" in line for line in found)


MODULES = {
    "a.py": "from vllm.b import Base\nfrom .c import far as near\nclass Own(Base[int]):\n    x: int\n",
    "b/__init__.py": "from vllm.b.deep import Base\n",
    "b/deep.py": "class Base:\n    def __init__(self, one, *, two=2):\n        self.y, self.z = one, two\n",
    "c.py": "try:\n    import fast\nexcept ImportError:\n    fast = None\nif fast:\n    def far(first, **rest): ...\n",
    "d.py": "class Plain:\n    a: int\n    b: str = ''\nclass More(Plain):\n    c: float = 0.0\n",
}


@pytest.mark.parametrize(
    ("path", "name", "params", "said"),
    [
        ("a.py", "Own.y", (), ""),
        ("a.py", "Own", ("one", "two"), ""),
        ("a.py", "Own", ("three",), "it takes no three"),
        ("a.py", "Own.w", (), "Own has no w"),
        ("a.py", "Own.w|y", (), ""),
        ("a.py", "Own.w|v", (), "Own has no w and no v"),
        ("a.py", "near", ("first", "anything"), ""),
        ("c.py", "fast", (), ""),
        ("d.py", "More", ("a", "c"), ""),
        ("d.py", "More", ("d",), "it takes no d"),
        ("e.py", "More", (), "there is no such module"),
    ],
)
def test_names_are_followed_through_imports_and_bases(path: str, name: str, params: tuple[str, ...], said: str) -> None:
    assert Sources(MODULES.get).problem(path, name, params) == said
