"""Two conversations at once with the `openai` package, streamed, each with a tool loop and an id of its own.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python openai_stream.py
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

from openai import AsyncOpenAI

QUESTIONS = ("How deep is the harbour of Oslo?", "And that of Genoa?")
DEPTHS_M = {"Oslo": 11, "Genoa": 15}
SOUNDING = {
    "type": "function",
    "function": {
        "name": "sound_harbour",
        "description": "The depth of a harbour in metres.",
        "parameters": {
            "type": "object",
            "properties": {"port": {"type": "string", "enum": list(DEPTHS_M)}},
            "required": ["port"],
            "additionalProperties": False,
        },
    },
}


async def sound_harbour(port: str) -> str:
    await asyncio.sleep(0.5)
    return json.dumps({"port": port, "metres": DEPTHS_M[port]})


async def ask(client: AsyncOpenAI, session: str, messages: list[Any], tool_choice: str) -> dict[str, Any]:
    """One turn: the message that the pieces of the stream make up."""
    stream = await client.chat.completions.create(
        model="smollm2",
        messages=messages,
        tools=[SOUNDING],
        tool_choice=tool_choice,
        max_tokens=40,
        temperature=0,
        user="harbour-master",
        stream=True,
        extra_headers={"X-Session-ID": session},
    )
    text, calls = "", {}
    async for piece in stream:
        for choice in piece.choices:
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or ():
                call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += part.id or ""
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in calls.values()
        ]
    return message


async def converse(client: AsyncOpenAI, captain: str) -> None:
    session = f"{captain}-{uuid.uuid4().hex[:8]}"
    messages: list[Any] = [{"role": "system", "content": f"You answer captain {captain} about harbours, briefly."}]
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        message = await ask(client, session, messages, "required")
        messages.append(message)
        for call in message.get("tool_calls", ()):
            result = await sound_harbour(**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        message = await ask(client, session, messages, "none")
        messages.append(message)
        print(f"{captain}: {question} {message['content']}")


async def main() -> None:
    async with AsyncOpenAI() as client:
        await asyncio.gather(converse(client, "Ahab"), converse(client, "Nemo"))


if __name__ == "__main__":
    asyncio.run(main())
