"""Takes the decisions of a recorded engine again, without its model, and finds the first that isn't the same.

A record says what reached the engine's scheduler, call by call, with each clock reading and each sampled token. All of
it is given to a scheduler of the same shape, under the same policy, that starts from what that engine had learned.
What it decides must be what the record says. Where it isn't, either the two run different code, or something that
decides isn't recorded, which is a bug. (On another kind of processor the last bit of an exponential may differ.)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vllm.sampling_params import RepetitionDetectionParams, SamplingParams
from vllm.utils.hashing import get_hash_fn_by_name
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.interface import PauseState
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

from engine_adapter.control import step_record as record
from engine_adapter.control.step_file import Record
from engine_adapter.control.step_record import Add, Event, Header
from engine_adapter.runtime.moments import Moments
from engine_adapter.runtime.predictor import State
from engine_adapter.virtual.build import vllm_config
from engine_adapter.virtual.comparison import Replayed, compared
from engine_adapter.virtual.profile import Profile, StepTimes
from engine_adapter.vllm import shape
from engine_adapter.vllm.recording import ClockLog, observed
from engine_adapter.vllm.scheduler import AsyncLampsScheduler, LampsScheduler

_PROGRESS_EVERY = 1000  # calls


class ReplayError(Exception):
    """A record that can't be replayed here. The message is a sentence for the user."""


def replay(path: Path, progress: Callable[[int], None] | None = None) -> Replayed:
    """Replay the record in *path* up to the first difference. *progress* gets the number of calls behind.

    Raises RecordError where it is no record, ReplayError where this vLLM can't stand for the engine it is of.
    """
    with Record(path) as source:
        return _replayed(source, progress)


def _replayed(source: Record, progress: Callable[[int], None] | None) -> Replayed:
    engine = ReplayEngine(source.header)
    found = Replayed(source.header)
    for number, event in enumerate(source, 1):
        match event.call:
            case record.Full():
                found.ended = "full"
                break
            case record.Beyond(why):
                found.ended = f"beyond what a record holds: {why}"
                break
            case _:
                pass
        mine = engine.take(event)
        found.count(event, mine)
        found.difference = compared(number, engine.steps, event, mine)
        if found.difference is not None or mine.raised:
            found.ended = mine.raised or "a difference"
            break
        if isinstance(event.call, record.Close):
            found.ended = "closed"
        if progress is not None and number % _PROGRESS_EVERY == 0:
            progress(number)
    else:
        found.ended = found.ended or ("cut off" if source.cut else "running")
    return found


class ReplayEngine:
    """A scheduler like the recorded one, given its calls one by one. *steps*: scheduled so far."""

    def __init__(self, header: Header) -> None:
        if header.beyond:
            raise ReplayError(f"the engine had what a record doesn't hold: {', '.join(header.beyond)}")
        self.steps = 0
        self._readings = _Readings()
        self._told: list[Event] = []
        self.scheduler = self._build(header)
        self._outputs: dict[int, Any] = {}
        algorithm = get_hash_fn_by_name(header.engine["cache_config"]["prefix_caching_hash_algo"])
        init_none_hash(algorithm)
        caches = header.engine["cache_config"]["enable_prefix_caching"]
        self._hasher = get_request_block_hasher(header.engine["hash_block_size"], algorithm) if caches else None

    def take(self, event: Event) -> Event:
        """Make the call of *event* at the clock readings it had; the event it is here."""
        self._readings.follow(event.clock)
        self._told.clear()
        try:
            self._call(event.call)
        except Exception:
            if not self._told:  # it isn't the scheduler that failed
                raise
        return self._told[0]

    # --- inside ----------------------------------------------------------------------------------

    def _build(self, header: Header) -> Scheduler:
        base = AsyncLampsScheduler if header.engine["async"] else LampsScheduler
        cls = observed(base, ClockLog(self._readings), lambda scheduler: self._told.append)
        with tempfile.TemporaryDirectory() as folder:
            policy = Path(folder) / f"{header.policy.name}.lamps"
            policy.write_text(header.policy.text, encoding="utf-8")
            config = vllm_config(_profile(header), {"policy": str(policy), "params": header.policy.params})
            try:
                memory = shape.fit(config, header.engine)
                scheduler = cls(
                    config,
                    memory,
                    _AnyGrammar(),
                    block_size=header.engine["block_size"],
                    hash_block_size=header.engine["hash_block_size"],
                    log_stats=False,
                )
            except (ValueError, TypeError) as problem:
                raise ReplayError(f"the engine of this record can't be built here: {problem}") from problem
        if differing := shape.differing(scheduler, header.engine):
            raise ReplayError(f"this vLLM builds another engine of this record: {', '.join(differing)}")
        scheduler.lamps.expecting.predictor.merge(_state(header))
        scheduler.lamps.costs.resume(header.costs)
        return scheduler

    def _call(self, call: record.Call) -> None:
        scheduler = self.scheduler
        match call:
            case Add():
                scheduler.add_request(self._request(call))
            case record.Finish(ids, status):
                scheduler.finish_requests(ids, RequestStatus[status])
            case record.Schedule(step, arguments, grammars):
                for name in grammars:
                    scheduler.requests[name].structured_output_request.grammar = True
                self.steps = step
                self._outputs[step] = scheduler.schedule(*arguments)
            case record.Update(step, ids, sampled):
                places = {name: place for place, name in enumerate(ids)}
                answer = ModelRunnerOutput(req_ids=ids, req_id_to_index=places, sampled_token_ids=sampled)
                scheduler.update_from_output(self._outputs.pop(step), answer)
            case record.Command(name, payload):
                scheduler.lamps_command(name, payload)
            case record.Reset(arguments):
                scheduler.reset_prefix_cache(*arguments)
            case record.Pause(state):
                scheduler.set_pause_state(PauseState[state])
            case record.Close():
                scheduler.shutdown()
            case record.Full() | record.Beyond():
                raise AssertionError("the replay ends before these")

    def _request(self, add: Add) -> Request:
        params = SamplingParams(
            max_tokens=add.max_tokens,
            min_tokens=add.min_tokens,
            stop_token_ids=add.stop,
            extra_args=json.loads(add.told),
            repetition_detection=None if add.repetition is None else RepetitionDetectionParams(*add.repetition),
            skip_reading_prefix_cache=add.skip_cache,
            ignore_eos=add.ignore_eos,
        )
        if add.eos is not None:
            params.update_from_generation_config({}, eos_token_id=add.eos)
        request = Request(
            add.id,
            add.prompt,
            params,
            None,
            arrival_time=add.arrival,
            cache_salt=add.salt,
            priority=add.priority,
            block_hasher=self._hasher,
            session_id=add.session,
        )
        if add.grammar:
            request.structured_output_request = SimpleNamespace(grammar=None)
            request.status = RequestStatus.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR
        return request


class _Readings:
    """The clock: what it said then, reading by reading; asked more often it stays where it is."""

    def __init__(self) -> None:
        self._now = 0.0
        self._next = iter(())  # type: Any

    def follow(self, readings: Sequence[float]) -> None:
        self._next = iter(readings)

    def __call__(self) -> float:
        self._now = next(self._next, self._now)
        return self._now


class _AnyGrammar:
    """In place of vLLM's manager of grammars: the tokens were accepted then."""

    def accept_tokens(self, request: Request, tokens: list[int]) -> bool:
        return True


def _profile(header: Header) -> Profile:
    """A small engine for vLLM's configuration to start from; `shape.fit` makes it the recorded one."""
    engine = header.engine
    limits = engine["scheduler_config"]
    return Profile(
        name="record",
        title="the engine of a record",
        source="its header",
        block_size=engine["block_size"],
        token_bytes=4,
        kv_blocks=engine["blocks"] - 1,
        max_num_seqs=limits["max_num_seqs"],
        max_num_batched_tokens=max(limits["max_num_batched_tokens"], limits["max_num_seqs"]),
        max_model_len=engine["max_model_len"],
        step=StepTimes(step_s=1.0),
    )


def _state(header: Header) -> State:
    state: State = {}
    for kind, key, moments in header.learned:
        state.setdefault(kind, {})[tuple(key)] = Moments(*moments)
    return state
