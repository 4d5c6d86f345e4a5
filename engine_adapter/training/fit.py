"""Training of the model of lengths, with torch: minutes at most, on one thread, the same for the same seed.

The network is the one `runtime.length_model` evaluates. It learns the chances of buckets of lengths, softened to their
neighbours: a length of 100 tokens says something about one of 130. What it can't know in an engine is hidden from it
at times: tools it has no name for, prompts without tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from engine_adapter.runtime.length_inputs import FIRST_TOOLS, NUMBERS, OTHER_TOOL, TOKEN_PLACES, Floats, inputs
from engine_adapter.runtime.length_model import BUCKETS, MOST_TOOLS, TOPS, About, LengthModel, bucket_of
from engine_adapter.runtime.past import KEPT_TOOLS, USER
from engine_adapter.training.samples import Sample

Progress = Callable[[int, float], None]
"""Gets the epochs that are done, and the loss on the sessions to stop by."""

_HIDDEN, _TOOL_WIDTH, _TOKEN_WIDTH = 64, 8, 16
_BATCH, _RATE, _DECAY, _DROPPED, _HIDDEN_INPUTS = 128, 2e-3, 0.02, 0.1, 0.1
# Epochs at most, and without getting better.
MOST_EPOCHS, _PATIENCE = 200, 20
# Buckets to either side that a length counts for, as the deviation of a normal.
_SOFT = 0.7
# The next answer and the call matter less than this answer.
_BESIDE = 0.3
# So many training lengths at its middle are taken to be in each bucket besides those that are.
_PRIOR = 3.0


@dataclass(frozen=True, slots=True)
class _Set:
    """Samples as tensors. *output*, *after*: chances of buckets, the latter 0 where there is no next turn."""

    numbers: torch.Tensor
    tools: torch.Tensor
    tokens: torch.Tensor
    output: torch.Tensor
    after: torch.Tensor
    tool: torch.Tensor

    def __getitem__(self, chosen: torch.Tensor) -> _Set:
        return _Set(
            self.numbers[chosen],
            self.tools[chosen],
            self.tokens[chosen],
            self.output[chosen],
            self.after[chosen],
            self.tool[chosen],
        )


class _Net(nn.Module):  # type: ignore[misc]
    def __init__(self, tools: int, reads_tokens: bool) -> None:
        super().__init__()
        self.reads_tokens = reads_tokens
        self.tool_vectors = nn.Embedding(tools, _TOOL_WIDTH)
        self.token_vectors = nn.Embedding(TOKEN_PLACES, _TOKEN_WIDTH if reads_tokens else 0)
        nn.init.normal_(self.tool_vectors.weight, std=0.1)
        nn.init.normal_(self.token_vectors.weight, std=0.1)
        read = NUMBERS + KEPT_TOOLS * _TOOL_WIDTH + (_TOKEN_WIDTH + 1 if reads_tokens else 0)
        self.w1, self.w2 = nn.Linear(read, _HIDDEN), nn.Linear(_HIDDEN, _HIDDEN)
        self.w3 = nn.Linear(_HIDDEN, 2 * BUCKETS + tools)
        self.drop = nn.Dropout(_DROPPED)

    def forward(self, given: _Set) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        parts = [given.numbers, self.tool_vectors(given.tools).flatten(1)]
        if self.reads_tokens:
            there = (given.tokens > 0).unsqueeze(2)
            count = there.sum(1)
            parts += [(self.token_vectors(given.tokens) * there).sum(1) / count.clamp(min=1), (count > 0).float()]
        hidden = self.drop(torch.relu(self.w1(torch.cat(parts, 1))))
        last = self.w3(self.drop(torch.relu(self.w2(hidden))))
        return last[:, :BUCKETS], last[:, BUCKETS : 2 * BUCKETS], last[:, 2 * BUCKETS :]


def fit(
    train: Sequence[Sample], valid: Sequence[Sample], about: About, progress: Progress | None = None
) -> LengthModel:
    """A model of *train* that foretells *valid* best. ValueError where one of them is empty."""
    if not train or not valid:
        raise ValueError("there are too few sessions to train on some and to stop by others")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _fitted(train, valid, about, progress)
    finally:
        torch.set_num_threads(threads)


def _fitted(train: Sequence[Sample], valid: Sequence[Sample], about: About, progress: Progress | None) -> LengthModel:
    tools = _tools(train)
    numbers = inputs([sample.case for sample in train], {}).numbers
    shift, spread = numbers.mean(axis=0), numbers.std(axis=0)
    scale = np.where(spread > 1e-6, spread, 1.0)
    learn, stop = _set(train, tools, shift, scale), _set(valid, tools, shift, scale)
    torch.manual_seed(about.seed)
    net = _Net(len(tools), about.tokens)
    _descend(net, learn, stop, about.seed, progress)
    arrays: dict[str, Floats] = {
        "shift": shift,
        "scale": scale,
        "lengths": _lengths(train),
        "tool_vectors": _array(net.tool_vectors.weight),
        "token_vectors": _array(net.token_vectors.weight),
    }
    for number in ("1", "2", "3"):
        layer = getattr(net, f"w{number}")
        arrays |= {f"w{number}": _array(layer.weight).T.copy(), f"b{number}": _array(layer.bias)}
    return LengthModel(about, tools, arrays)


def _descend(net: _Net, learn: _Set, stop: _Set, seed: int, progress: Progress | None) -> None:
    """Train *net* until *stop* is foretold no better; it is left as it was at its best."""
    chance = torch.Generator().manual_seed(seed)
    steps = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
    best, best_state, since = float("inf"), net.state_dict(), 0
    for epoch in range(1, MOST_EPOCHS + 1):
        net.train()
        order = torch.randperm(len(learn.tool), generator=chance)
        for chosen in order.split(_BATCH):
            steps.zero_grad()
            _loss(net, _hidden(learn[chosen], chance)).backward()
            steps.step()
        net.eval()
        with torch.no_grad():
            loss = float(_loss(net, stop))
        if loss < best:
            best, since = loss, 0
            best_state = {name: value.clone() for name, value in net.state_dict().items()}
        else:
            since += 1
        if progress is not None:
            progress(epoch, loss)
        if since == _PATIENCE:
            break
    net.load_state_dict(best_state)


def _loss(net: _Net, given: _Set) -> torch.Tensor:
    output, after, tool = net(given)
    there = given.after.sum(1)
    next_one = -(given.after * torch.log_softmax(after, 1)).sum() / there.sum().clamp(min=1.0)
    this_one = -(given.output * torch.log_softmax(output, 1)).sum(1).mean()
    return this_one + _BESIDE * (next_one + nn.functional.cross_entropy(tool, given.tool))


def _hidden(given: _Set, chance: torch.Generator) -> _Set:
    """The same, with some tools that have no name and some prompts without tokens."""
    unnamed = torch.rand(given.tools.shape, generator=chance) < _HIDDEN_INPUTS
    tools = torch.where(unnamed & (given.tools >= len(FIRST_TOOLS)), OTHER_TOOL, given.tools)
    blank = torch.rand((len(given.tokens), 1), generator=chance) < _HIDDEN_INPUTS
    return replace(given, tools=tools, tokens=torch.where(blank, 0, given.tokens))


def _set(samples: Sequence[Sample], tools: Sequence[str], shift: Floats, scale: Floats) -> _Set:
    places = {name: place for place, name in enumerate(tools)}
    found = inputs([sample.case for sample in samples], places)
    return _Set(
        torch.tensor((found.numbers - shift) / scale, dtype=torch.float32),
        torch.tensor(found.tools),
        torch.tensor(found.tokens),
        torch.tensor(_soft([sample.output for sample in samples]), dtype=torch.float32),
        torch.tensor(_soft([sample.after for sample in samples]), dtype=torch.float32),
        torch.tensor([places.get(sample.tool, OTHER_TOOL) for sample in samples]),
    )


def _soft(lengths: Sequence[int | None]) -> Floats:
    """Chances of buckets, (len(lengths), BUCKETS); a row of zeros where there is no length."""
    buckets = bucket_of(np.array([length or 0 for length in lengths], dtype=np.float64))
    away = np.arange(BUCKETS)[None, :] - buckets[:, None]
    near = np.exp(-0.5 * (away / _SOFT) ** 2)
    near /= near.sum(axis=1, keepdims=True)
    return np.asarray(near * np.array([length is not None for length in lengths])[:, None])


def _tools(train: Sequence[Sample]) -> tuple[str, ...]:
    counts = Counter(sample.tool for sample in train if sample.tool != USER)
    return (*FIRST_TOOLS, *sorted(tool for tool, _ in counts.most_common(MOST_TOOLS)))


def _lengths(train: Sequence[Sample]) -> Floats:
    """The mean length of what is in each bucket."""
    lengths = np.array([sample.output for sample in train], dtype=np.float64)
    buckets = bucket_of(lengths)
    below = np.concatenate([[0.0], TOPS[:-1]])
    middles = (below + 1.0 + TOPS) / 2.0
    sums = np.bincount(buckets, weights=lengths, minlength=BUCKETS)
    counts = np.bincount(buckets, minlength=BUCKETS)
    return np.asarray((sums + _PRIOR * middles) / (counts + _PRIOR))


def _array(values: Any) -> Floats:
    return np.asarray(values.detach().numpy(), dtype=np.float64)
