"""ShareGPT: conversations of people with ChatGPT, as vLLM's and InferCept's benchmarks use them.

One JSON array (or JSON lines) of objects with `conversations`, a list of `{"from": "human" | "gpt" | ..., "value":
text}`. The texts belong to those who wrote them and the data set has no clear licence: only their lengths are taken.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import msgspec

from engine_adapter.workload.generate import CLASSES, lognormal
from engine_adapter.workload.importing.reading import Findings, Imported, Source, json_lines
from engine_adapter.workload.trace import SessionTrace, Turn

# English has about four bytes a token in the vocabularies of today's models; no tokenizer is needed to say so.
BYTES_PER_TOKEN = 4

_PERSON = ("human", "user")
_MODEL = ("gpt", "chatgpt", "bard", "bing", "assistant")
_LOST = (
    f"token counts: estimated as one for {BYTES_PER_TOKEN} bytes of text",
    "all times: gaps are drawn from InferCept's chatbot class (mean 28.6 s, lognormal), arrivals have none",
)


class _Message(msgspec.Struct, rename={"sender": "from"}):
    sender: str
    value: str


class _Conversation(msgspec.Struct):
    conversations: list[_Message] = []


def read(sources: Sequence[Source]) -> Imported:
    """A session a conversation, a turn each time the model answers. Raises TraceError for a file that isn't one.

    What comes before the first words of a person is left out unless it is the system's; so is a last question without
    an answer.
    """
    findings = Findings()
    sessions: list[SessionTrace] = []
    for conversation in _conversations(sources, findings):
        turns = _turns(conversation.conversations, random.Random(f"sharegpt/{len(sessions)}"))
        if turns:
            sessions.append(SessionTrace(f"sharegpt-{len(sessions):06d}", tuple(turns)))
        else:
            findings.skipped["conversations without question and answer"] += 1
    return findings.imported(sessions, _LOST)


def _conversations(sources: Sequence[Source], findings: Findings) -> Iterator[_Conversation]:
    array = msgspec.json.Decoder(list[_Conversation])
    for source in sources:
        if source.data.lstrip()[:1] != b"[":
            yield from (found for _, found in json_lines([source], _Conversation, findings))
            continue
        try:
            yield from array.decode(source.data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            findings.problems.append(f"{source.name}: {error}")


def _turns(messages: Sequence[_Message], draw: random.Random) -> list[Turn]:
    turns: list[Turn] = []
    known = asked = 0
    has_question = False
    chatbot = CLASSES["chatbot"].duration_s
    for message in messages:
        length = -(-len(message.value.encode()) // BYTES_PER_TOKEN)
        if message.sender in _PERSON or message.sender == "system":
            asked += length
            has_question = has_question or message.sender in _PERSON
        elif message.sender in _MODEL and has_question and length:
            prompt, output = max(1, known + asked), length
            if turns:
                turns.append(Turn(prompt, known, output, lognormal(draw, chatbot), "user"))
            else:
                turns.append(Turn(prompt, 0, output))
            known, asked, has_question = prompt + output, 0, False
    return turns
