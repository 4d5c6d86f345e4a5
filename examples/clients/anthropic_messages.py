"""A tool loop over Anthropic's Messages API with the `anthropic` package.

ANTHROPIC_BASE_URL=http://127.0.0.1:8000 ANTHROPIC_API_KEY=none python anthropic_messages.py
"""

from __future__ import annotations

import json
import time
from typing import Any

from anthropic import Anthropic

QUESTIONS = ("When does the library of Ghent open?", "And the one of Lyon?")
HOURS = {"Ghent": "nine", "Lyon": "ten"}
OPENING = {
    "name": "opening_hours",
    "description": "The hour at which a library opens.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": list(HOURS)}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def opening_hours(city: str) -> str:
    time.sleep(0.5)
    return json.dumps({"city": city, "opens": HOURS[city]})


def ask(client: Anthropic, messages: list[Any], tool_choice: str) -> Any:
    return client.messages.create(
        model="smollm2",
        system="You are a librarian who answers in one short sentence.",
        messages=messages,
        tools=[OPENING],
        tool_choice={"type": tool_choice},
        max_tokens=60,
        extra_body={"temperature": 0},  # the package has no word for it any more
    )


def main() -> None:
    client = Anthropic()
    messages: list[Any] = []
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        answer = ask(client, messages, "any")
        messages.append(
            {"role": "assistant", "content": [part.model_dump(exclude_none=True) for part in answer.content]}
        )
        results = [
            {"type": "tool_result", "tool_use_id": part.id, "content": opening_hours(**part.input)}
            for part in answer.content
            if part.type == "tool_use"
        ]
        messages.append({"role": "user", "content": results})
        answer = ask(client, messages, "none")
        text = "".join(part.text for part in answer.content if part.type == "text")
        messages.append({"role": "assistant", "content": text})
        print(f"{question} {text}")


if __name__ == "__main__":
    main()
