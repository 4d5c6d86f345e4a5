"""Every name of vLLM that lamps relies on, with the parameters it gives, and whether a copy of vLLM has them.

None of it is a public interface. The sources are read, nothing is imported: so the same check serves the installed
release at start, `lamps doctor`, and the wheel of a release that this machine can't run (`make compat`). It sees that a
name is there, not that it means the same; for that the contract tests run on each release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from engine_adapter.vllm.sources import Sources

# By module: NAME, CLASS.MEMBER, CLASS.ONE|OTHER, with (PARAMETERS). A line that ends in "?" is of some releases only,
# and what uses it does without.
_TABLE = """
v1/core/sched/scheduler.py
  Scheduler(vllm_config, kv_cache_config, structured_output_manager, block_size, log_stats)
  Scheduler.schedule
  Scheduler.get_grammar_bitmask
  Scheduler.update_from_output
  Scheduler.add_request
  Scheduler.finish_requests
  Scheduler.has_unfinished_requests
  Scheduler.reset_prefix_cache
  Scheduler.set_pause_state
  Scheduler.shutdown
  Scheduler._preempt_request
  Scheduler._free_request
  Scheduler.vllm_config
  Scheduler.cache_config
  Scheduler.parallel_config
  Scheduler.kv_cache_config
  Scheduler.kv_cache_manager
  Scheduler.block_size
  Scheduler.hash_block_size
  Scheduler.connector
  Scheduler.requests
  Scheduler.running
  Scheduler.waiting
  Scheduler.kv_holding_waiting|skipped_waiting
  Scheduler.policy
  Scheduler.max_num_running_reqs
  Scheduler.max_num_scheduled_tokens
  Scheduler.num_lookahead_tokens
  Scheduler.max_num_active_reqs?
  Scheduler.num_waiting_for_streaming_input?
v1/core/sched/async_scheduler.py
  AsyncScheduler.schedule
  AsyncScheduler._update_request_with_output
v1/core/sched/request_queue.py
  RequestQueue.add_request(request)
  RequestQueue.pop_request
  RequestQueue.peek_request
  RequestQueue.prepend_request(request)
  RequestQueue.prepend_requests(requests)
  RequestQueue.remove_request(request)
  RequestQueue.remove_requests(requests)
  SchedulingPolicy.FCFS
  SchedulingPolicy.PRIORITY
v1/core/sched/output.py
  SchedulerOutput.scheduled_new_reqs
  SchedulerOutput.scheduled_cached_reqs
  SchedulerOutput.num_scheduled_tokens
  SchedulerOutput.total_num_scheduled_tokens
  NewRequestData.req_id
  NewRequestData.num_computed_tokens
  CachedRequestData.req_ids
  CachedRequestData.resumed_req_ids
v1/core/kv_cache_manager.py
  KVCacheBlocks.blocks
  KVCacheManager.block_pool
  KVCacheManager.get_blocks(request_id)
  KVCacheManager.get_computed_blocks(request)
  KVCacheManager.allocate_slots(request, num_new_tokens, num_lookahead_tokens, new_computed_blocks)
  KVCacheManager.cache_blocks(request, num_computed_tokens)
  KVCacheManager.watermark_blocks
v1/core/block_pool.py
  BlockPool.touch(blocks)
  BlockPool.free_blocks(ordered_blocks)
  BlockPool.get_num_free_blocks
  BlockPool.num_gpu_blocks
  BlockPool.cached_block_hash_to_block
  BlockHashToBlockMap.__len__
v1/core/kv_cache_utils.py
  KVCacheBlock.block_id
  KVCacheBlock.block_hash
  KVCacheBlock.ref_cnt
  KVCacheBlock.is_null
  BlockHash
  BlockHashWithGroupId
  get_block_hash(key)
v1/kv_cache_interface.py
  KVCacheConfig.kv_cache_groups
  KVCacheGroupSpec.kv_cache_spec
  KVCacheGroupSpec.layer_names
  KVCacheSpec.page_size_bytes
v1/request.py
  Request.request_id
  Request.status
  Request.priority
  Request.session_id
  Request.sampling_params
  Request.prompt_token_ids
  Request.num_prompt_tokens
  Request.num_tokens
  Request.num_computed_tokens
  Request.num_output_tokens
  Request.max_tokens
  Request.block_hashes
  Request.all_token_ids
  RequestStatus.RUNNING
  RequestStatus.WAITING_FOR_REMOTE_KVS
  RequestStatus.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR
  RequestStatus.FINISHED_ABORTED
  RequestStatus.FINISHED_ERROR
v1/outputs.py
  KVConnectorOutput.kv_connector_worker_meta
v1/engine/core.py
  EngineCore.scheduler
v1/engine/core_client.py
  AsyncMPClient._call_utility_async(method, engine)
  AsyncMPClient.core_engines
v1/kv_offload/base.py
  CanonicalKVCaches.tensors
  CanonicalKVCaches.group_data_refs
  GPULoadStoreSpec(block_ids, group_sizes, block_indices)
  BlockIDsLoadStoreSpec.block_ids
  LookupResult.MISS
  LookupResult.HIT
  LookupResult.HIT_PENDING
  OffloadKey
  OffloadingManager.on_new_request(req_context)
  OffloadingManager.lookup(key, req_context)
  OffloadingManager.get_load_source(key, req_context)?
  OffloadingManager.prepare_load(keys, req_context)
  OffloadingManager.complete_load(keys, req_context)
  OffloadingManager.prepare_store(keys, req_context)
  OffloadingManager.complete_store(keys, req_context, success)
  OffloadingManager.on_request_finished(req_context)
  OffloadingManager.on_schedule_end(context)
  OffloadingManager.reset_cache
  OffloadingWorker.submit_store(job_id, src_spec, dst_spec)
  OffloadingWorker.submit_load(job_id, src_spec, dst_spec)
  OffloadingWorker.get_finished
  OffloadingWorker.wait(job_ids)
  OffloadingWorker.shutdown
  PrepareStoreOutput
  ReqContext.req_id
  RequestOffloadingContext
  ScheduleEndContext
  TransferResult
  make_offload_key(block_hash, group_idx)
v1/kv_offload/config.py
  OffloadingConfig
v1/kv_offload/cpu/common.py
  CPULoadStoreSpec(block_ids)
v1/kv_offload/cpu/spec.py
  CPUOffloadingSpec(config)
  CPUOffloadingSpec.get_manager
  CPUOffloadingSpec.get_worker(kv_caches)
  CPUOffloadingSpec.blocks_per_chunk
  CPUOffloadingSpec.num_chunks
  CPUOffloadingSpec.offload_prompt_only
v1/metrics/cache_hit_source.py
  CacheHitSource.HOST?
distributed/kv_transfer/kv_connector/v1/offloading/common.py
  OffloadingConnectorMetadata.store_jobs
  OffloadingWorkerMetadata.completed_jobs
  OffloadingWorkerMetadata.transfer_stats
  TransferJob(req_id, src_spec, dst_spec)
distributed/kv_transfer/kv_connector/v1/offloading/scheduler.py
  OffloadingConnectorScheduler.manager
  OffloadingConnectorScheduler.config
  OffloadingConnectorScheduler._req_status
  OffloadingConnectorScheduler._generate_job_id
  OffloadingConnectorScheduler._block_id_to_pending_jobs
  OffloadingConnectorScheduler._remove_pending_job(job_id, block_ids)
  RequestOffloadState.group_states
  RequestGroupState.next_stored_chunk_idx
  SchedulerOffloadConfig.num_workers
distributed/kv_transfer/kv_connector/v1/offloading_connector.py
  OffloadingConnector(vllm_config, role, kv_cache_config)
  OffloadingConnector.scheduler
  OffloadingConnector.build_connector_meta(scheduler_output)
  OffloadingConnector.update_connector_output(connector_output)
  OffloadingConnector.has_pending_push_work
  OffloadingConnector.reset_cache
config/__init__.py
  VllmConfig.additional_config
  VllmConfig.scheduler_config
  VllmConfig.parallel_config
  VllmConfig.kv_transfer_config
  SchedulerConfig.async_scheduling
  SchedulerConfig.scheduler_cls
  ParallelConfig.data_parallel_rank
  ParallelConfig.data_parallel_size
  ParallelConfig.world_size
  ParallelConfig._api_process_rank
  KVTransferConfig
entrypoints/cli/serve.py
  ServeSubcommand.cmd(args)
  ServeSubcommand.validate(args)
  make_arg_parser(parser)
entrypoints/serve/utils/api_utils.py
  cli_env_setup?
entrypoints/common/startup.py
  cli_env_setup?
logger.py
  configure_logging_from_args(args)?
platforms/__init__.py
  current_platform
utils/argparse_utils.py
  FlexibleArgumentParser
envs.py
  VLLM_API_KEY
"""
_LINE = re.compile(r"(?P<name>[\w.|]+)(?:\((?P<params>[\w, ]*)\))?(?P<optional>\?)?$")


@dataclass(frozen=True, slots=True)
class Touch:
    """*module*: its file in the package. *params*: what the function takes, or the class when it is made."""

    module: str
    name: str
    params: tuple[str, ...] = ()

    def __str__(self) -> str:
        dotted = self.module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return f"vllm.{dotted}.{self.name}" + (f"({', '.join(self.params)})" if self.params else "")


def touches() -> Iterator[Touch]:
    """All that no release may lack."""
    module = ""
    for line in _TABLE.strip().splitlines():
        if not line.startswith(" "):
            module = line
            continue
        found = _LINE.match(line.strip())
        assert found is not None, line
        if not found["optional"]:
            yield Touch(module, found["name"], tuple((found["params"] or "").replace(",", " ").split()))


def lacking(read: Callable[[str], str | None]) -> list[str]:
    """What the vLLM lacks whose files *read* returns by their path in the package, None for one that isn't there."""
    sources = Sources(read)
    return [
        f"{touch}: {why}" for touch in touches() if (why := sources.problem(touch.module, touch.name, touch.params))
    ]


def lacking_here() -> list[str]:
    """What the installed vLLM lacks: half a second, nothing of it is imported. Empty where none is installed."""
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return []
    return lacking(reader(Path(spec.submodule_search_locations[0])))


def reader(package: Path) -> Callable[[str], str | None]:
    """Reads files of the unpacked vLLM in *package*."""

    def read(path: str) -> str | None:
        try:
            return (package / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    return read
