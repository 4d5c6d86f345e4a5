"""A scheduler that tells of every call it gets and of what it decided, so that both can be written down or compared.

A class of its own, made only where somebody asked for a record (`lamps serve --record-steps`): without it the
scheduler has no hook to pay for. Calls that vLLM's scheduler makes to itself are part of the one that came from
outside. Nothing here changes a decision.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.request import Request, RequestStatus

from engine_adapter.control import step_record as record
from engine_adapter.control.frames import Arm, Decision
from engine_adapter.control.step_file import RecordWriter
from engine_adapter.control.step_record import Call, Did, Event
from engine_adapter.runtime.journal import Entry
from engine_adapter.vllm import internals
from engine_adapter.vllm.record_lines import AWAITS_GRAMMAR, added, header, strange

if TYPE_CHECKING:
    from engine_adapter.vllm.scheduler import LampsScheduler as _Base
else:
    _Base = object

Sink = Callable[[Event], None]
# Steps whose output may still come: more than any engine has under way.
_UNDER_WAY = 64

logger = logging.getLogger("lamps")


class ClockLog:
    """A clock that remembers what it said."""

    def __init__(self, source: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._said: list[float] = []

    def __call__(self) -> float:
        now = self._source()
        self._said.append(now)
        return now

    def taken(self) -> list[float]:
        """The readings since the last time this was asked."""
        said, self._said = self._said, []
        return said


class Observed(_Base):
    """Stands before a lamps scheduler and gives an event for every call to *sink*. *clock*: the one it reads."""

    clock: ClassVar[ClockLog]  # type: ignore[misc]
    sink: Callable[[], Sink]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._did = Did()
        self._within = False  # a call from outside
        self._steps = 0
        self._outputs: deque[tuple[SchedulerOutput, int]] = deque(maxlen=_UNDER_WAY)
        self._grammars: dict[str, Request] = {}
        self._counted: dict[str, int] = {}
        self.lamps.watch.journal.sinks.append(self._heard)
        self._rank = self.lamps.first
        self.lamps.first = self._noted_first  # type: ignore[method-assign]
        self._tell = self.sink()

    # --- calls -----------------------------------------------------------------------------------

    def add_request(self, request: Request) -> None:
        beyond = strange(request)
        with self._event(record.Beyond(beyond) if beyond else added(request)):
            if request.status is AWAITS_GRAMMAR:
                self._grammars[request.request_id] = request
            super().add_request(request)

    def finish_requests(self, request_ids: str | Iterable[str] | None, finished_status: RequestStatus) -> list[Request]:
        ids = [request_ids] if isinstance(request_ids, str) else None if request_ids is None else list(request_ids)
        with self._event(record.Finish(ids, finished_status.name)):
            return super().finish_requests(ids, finished_status)

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        self._steps += 1
        call = record.Schedule(self._steps, [bool(value) for value in (*args, *kwargs.values())])
        with self._event(call):
            output = super().schedule(*args, **kwargs)
            self._outputs.append((output, self._steps))
            call.grammars = self._compiled()
            self._scheduled(output)
        return output

    def update_from_output(self, scheduler_output: SchedulerOutput, model_runner_output: Any, *args: Any) -> Any:
        step = next((number for output, number in self._outputs if output is scheduler_output), 0)
        ids = list(model_runner_output.req_ids)
        sampled = [[int(token) for token in tokens] for tokens in model_runner_output.sampled_token_ids or ()]
        with self._event(record.Update(step, ids, sampled)):
            return super().update_from_output(scheduler_output, model_runner_output, *args)

    def lamps_command(self, name: str, payload: str) -> str:
        with self._event(record.Command(name, payload)):
            return super().lamps_command(name, payload)

    def reset_prefix_cache(self, *args: Any, **kwargs: Any) -> bool:
        with self._event(record.Reset([bool(value) for value in (*args, *kwargs.values())])):
            return super().reset_prefix_cache(*args, **kwargs)

    def set_pause_state(self, pause_state: Any) -> None:
        with self._event(record.Pause(pause_state.name)):
            super().set_pause_state(pause_state)

    def shutdown(self) -> None:
        with self._event(record.Close()):
            super().shutdown()

    # --- what vLLM does meanwhile ----------------------------------------------------------------

    def _free_request(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        self._grammars.pop(request.request_id, None)
        self._did.finished.append((request.request_id, request.status.name))
        return super()._free_request(request, *args, **kwargs)

    def meanwhile(self) -> None:
        """Nothing: a replay has no such moment, so what was put off is done in the next call that is recorded."""

    # --- inside ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _event(self, call: Call) -> Iterator[None]:
        if self._within:
            yield
            return
        self._within, self._did = True, Did()
        event = Event(call, did=self._did)
        try:
            yield
        except BaseException as raised:
            event.raised = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            self._within = False
            event.clock = self.clock.taken()
            event.did.counters = self._counters()
            event.did.held_tokens = self.lamps.calls.ledger.tokens + self.lamps.calls.copies.ledger.tokens
            event.did.free_blocks = internals.free_blocks(self)
            self._tell(event)

    def _heard(self, entry: Entry) -> None:
        arms = tuple(Arm(text, cost if math.isfinite(cost) else None, *rest) for text, cost, *rest in entry.arms)
        values: dict[str, float | bool | str | None] = {name: _written(value) for name, value in entry.values.items()}
        self._did.decisions.append(
            Decision(
                entry.number, entry.at, entry.kind, entry.what, entry.request, entry.session, entry.line, entry.note,
                arms, values,
            )
        )  # fmt: skip

    def _noted_first(self, count: int) -> list[str]:
        found = self._rank(count)
        self._did.ranked.append(list(found))
        return found

    def _counters(self) -> dict[str, int]:
        """What the runtime has counted since the last call; without what depends on the time that deciding takes, and
        what the decision log does in its own."""
        now = {name: count for name, count in self.lamps.counters.items() if not name.startswith(("log.", "overruns."))}
        before, self._counted = self._counted, now
        return {name: count - before.get(name, 0) for name, count in now.items() if count != before.get(name, 0)}

    def _scheduled(self, output: SchedulerOutput) -> None:
        did, cached = self._did, output.scheduled_cached_reqs
        did.scheduled = list(output.num_scheduled_tokens.items())
        did.started = [(new.req_id, new.num_computed_tokens) for new in output.scheduled_new_reqs]
        found = zip(cached.req_ids, cached.num_computed_tokens, strict=True)
        did.started += [(name, tokens) for name, tokens in found if name in cached.resumed_req_ids]

    def _compiled(self) -> list[str]:
        """Requests that wait for their grammar no longer."""
        found = [name for name, request in self._grammars.items() if request.status is not AWAITS_GRAMMAR]
        for name in found:
            del self._grammars[name]
        return found


def observed(cls: type[Any], clock: ClockLog, sink: Callable[[Any], Sink]) -> type[Any]:
    """A lamps scheduler class that reads *clock* and tells what *sink* makes of the new scheduler of its calls."""
    return type(cls.__name__, (Observed, cls), {"clock": clock, "sink": sink})


def recorded(cls: type[Any], path: Path, clock: Callable[[], float] = time.monotonic) -> type[Any]:
    """A lamps scheduler class that writes a record to *path*; with several engines the rank goes into its name.

    Making the scheduler raises RecordError where the file can't be made.
    """

    def begin(scheduler: Any) -> Sink:
        parallel = scheduler.parallel_config
        mine = path if parallel.data_parallel_size == 1 else _ranked(path, parallel.data_parallel_rank)
        writer = RecordWriter(mine, header(scheduler))
        logger.warning("lamps: every step is recorded to %s, with the token ids of all prompts and answers", mine)
        return lambda event: _write(writer, event, idle=not scheduler.requests)

    return observed(cls, ClockLog(clock), begin)


def _write(writer: RecordWriter, event: Event, idle: bool) -> None:
    """An engine without requests may be stopped before it does anything again: its record is up to date."""
    went = not writer.problem
    writer.write(event)
    if idle:
        writer.flush()
    if isinstance(event.call, record.Close):
        writer.close()
    elif went and writer.problem:
        logger.warning("lamps: the record of steps ends here: %s", writer.problem)


def _ranked(path: Path, rank: int) -> Path:
    stem, dot, rest = path.name.partition(".")
    return path.with_name(f"{stem}.rank{rank}{dot}{rest}")


def _written(value: float | bool | str) -> float | bool | str:
    """*value* as JSON can hold it: an infinite number by its name."""
    return value if isinstance(value, bool | str) or math.isfinite(value) else str(float(value))
