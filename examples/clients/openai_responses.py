"""A tool loop over OpenAI's Responses API with the `openai` package; the whole conversation goes along each time.

OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=none python openai_responses.py
"""

from __future__ import annotations

import json
import time
from typing import Any

from openai import OpenAI

QUESTIONS = ("How high is Etna?", "How high is Hekla?")
HEIGHTS_M = {"Etna": 3403, "Hekla": 1491}
LOOK_UP = {
    "type": "function",
    "name": "look_up_height",
    "description": "The height of a volcano in metres.",
    "parameters": {
        "type": "object",
        "properties": {"volcano": {"type": "string", "enum": list(HEIGHTS_M)}},
        "required": ["volcano"],
        "additionalProperties": False,
    },
    "strict": True,
}


def look_up_height(volcano: str) -> str:
    time.sleep(0.5)
    return json.dumps({"volcano": volcano, "metres": HEIGHTS_M[volcano]})


def ask(client: OpenAI, items: list[Any], tool_choice: str) -> Any:
    return client.responses.create(
        model="smollm2",
        instructions="You are a volcanologist who answers in one short sentence.",
        input=items,
        tools=[LOOK_UP],
        tool_choice=tool_choice,
        max_output_tokens=80,
        temperature=0,
    )


def main() -> None:
    client = OpenAI()
    items: list[Any] = []
    for question in QUESTIONS:
        items.append({"role": "user", "content": question})
        answer = ask(client, items, "required")
        for item in answer.output:
            items.append(item.model_dump(exclude_none=True))
            if item.type == "function_call":
                print(f"model calls {item.name}({item.arguments})")
                result = look_up_height(**json.loads(item.arguments))
                items.append({"type": "function_call_output", "call_id": item.call_id, "output": result})
        answer = ask(client, items, "none")
        items.append({"role": "assistant", "content": answer.output_text})
        print(f"{question} {answer.output_text}")


if __name__ == "__main__":
    main()
