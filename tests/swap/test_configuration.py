"""Host memory is given by one option, and refused in a sentence where it can't be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from vllm.v1.kv_offload.base import CanonicalKVCacheRef, CanonicalKVCaches, CanonicalKVCacheTensor, GPULoadStoreSpec
from vllm.v1.kv_offload.cpu.common import CPULoadStoreSpec
from vllm.v1.kv_offload.cpu.gpu_worker import CPUOffloadingWorker

from engine_adapter.vllm import checks, compat_api
from engine_adapter.vllm.offload.config import GIB, kv_transfer_config, problem
from engine_adapter.vllm.offload.connector import SwapConnector
from engine_adapter.vllm.offload.spec import SwapSpec
from engine_adapter.vllm.plan import LaunchError, Plan, Policy
from tests.cli.running import lamps

POLICY = Policy(Path("/somewhere/x.lamps"), "x", "0123456789ab")


def plan(swap_gib: float, *flags: str, policy: Policy | None = POLICY) -> Plan:
    return Plan(policy, None, "127.0.0.1", 8000, None, flags, swap_gib)


def test_vllm_finds_connector_and_spec_by_what_it_is_told() -> None:
    from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory
    from vllm.v1.kv_offload.factory import OffloadingSpecFactory

    told = compat_api.kv_transfer(kv_transfer_config(3 * GIB))
    assert KVConnectorFactory.get_connector_class(told) is SwapConnector
    assert OffloadingSpecFactory.get_spec_cls(told.kv_connector_extra_config) is SwapSpec
    assert told.kv_connector_extra_config["cpu_bytes_to_use"] == 3 * GIB


def test_the_flags_in_the_documentation_are_these() -> None:
    import json
    import re

    text = (Path(__file__).parents[2] / "docs" / "swap.md").read_text()
    [flags] = re.findall(r"--kv-transfer-config '(.*?)'", text, re.DOTALL)
    assert json.loads(flags) == kv_transfer_config(16 * GIB)


def test_more_than_half_of_the_machine_is_refused() -> None:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert problem(physical // 2) is None
    found = problem(physical // 2 + 1)
    assert found is not None and "more than half of this machine's" in found[0]
    with pytest.raises(LaunchError, match="more than half"):
        checks.check_swap(plan(physical / GIB))


@pytest.mark.parametrize("flag", ["--kv-transfer-config={}", "--kv-offloading-size"])
def test_another_connector_is_refused_before_anything_starts(flag: str) -> None:
    with pytest.raises(LaunchError, match=f"--swap-space and {flag.partition('=')[0]} both say"):
        checks.check_swap(plan(0.1, flag, "8"))
    checks.check_swap(plan(0.0, flag, "8"))


def test_stock_vllm_swaps_nothing() -> None:
    with pytest.raises(LaunchError, match="needs a policy"):
        checks.check_swap(plan(0.1, policy=None))


def test_a_swap_space_is_a_number_of_gib() -> None:
    done = lamps("serve", "--swap-space", "-1")
    assert done.returncode == 2
    assert "--swap-space" in done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="vLLM's worker copies with CUDA, and this machine has no GPU")
def test_on_cuda_vllms_worker_brings_back_what_it_stored() -> None:
    page = 512
    tensor = torch.randint(-128, 127, (8, page), dtype=torch.int8, device="cuda")
    before = tensor.clone()
    caches = CanonicalKVCaches([CanonicalKVCacheTensor(tensor, page)], [[CanonicalKVCacheRef(0, page)]])
    worker = CPUOffloadingWorker(kv_caches=caches, blocks_per_chunk=1, num_cpu_chunks=4, mmap_region=None)
    there, back = GPULoadStoreSpec([2, 5], [2], [0]), GPULoadStoreSpec([6, 1], [2], [0])
    assert worker.submit_store(0, there, CPULoadStoreSpec([3, 0]))
    worker.wait({0})
    tensor.zero_()
    assert worker.submit_load(1, CPULoadStoreSpec([3, 0]), back)
    worker.wait({1})
    assert torch.equal(tensor[[6, 1]], before[[2, 5]])
    worker.shutdown()
