"""An agent with one tool, written for any OpenAI-compatible server. Nothing in it knows about lamps.

    OPENAI_BASE_URL=http://127.0.0.1:8000/v1 python examples/agent.py

The model must call the tool (`tool_choice`), the tool takes a few seconds, its result goes back, the model answers.
While the tool runs, the server holds, or has dropped, what it computed for this conversation: `lamps status` shows it.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from openai import OpenAI

TOOL_SECONDS = float(os.environ.get("TOOL_SECONDS", "3"))
QUESTIONS = ("What is the weather in Paris?", "And in Rome?")
TEMPERATURES = {"paris": 14, "rome": 21}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def get_weather(city: str) -> str:
    """The tool: slow, as real ones are."""
    time.sleep(TOOL_SECONDS)
    return json.dumps({"city": city, "celsius": TEMPERATURES.get(city.lower(), 17), "sky": "clear"})


def ask(client: OpenAI, model: str, messages: list[Any], tool_choice: str) -> Any:
    """One turn; prints how long it took."""
    began = time.monotonic()
    answer = client.chat.completions.create(
        model=model, messages=messages, tools=[WEATHER], tool_choice=tool_choice, max_tokens=48, temperature=0
    )
    print(f"  ({time.monotonic() - began:.1f} s, {answer.usage.prompt_tokens} tokens in)")
    return answer.choices[0].message


def main() -> None:
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    model = client.models.list().data[0].id
    messages: list[Any] = [{"role": "system", "content": "You are a short-spoken weather assistant."}]
    for question in QUESTIONS:
        print(f"user: {question}")
        messages.append({"role": "user", "content": question})
        message = ask(client, model, messages, "required")
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or []:
            print(f"model calls {call.function.name}({call.function.arguments})")
            result = get_weather(**json.loads(call.function.arguments))
            print(f"tool: {result}")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        message = ask(client, model, messages, "none")
        messages.append({"role": "assistant", "content": message.content})
        print(f"model: {message.content}")


if __name__ == "__main__":
    main()
