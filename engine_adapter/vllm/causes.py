"""Why vLLM did not start, in a sentence where its log shows a known cause, with the end of the log where it doesn't."""

from __future__ import annotations

import re

from engine_adapter.vllm.plan import LaunchError
from engine_adapter.vllm.startlog import StartLog

# What vLLM logs -> what it means, what to do. Groups fill the sentence.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"max seq len \((\d+)\), \(([\d.]+) GiB KV cache is needed.*?memory \(([\d.]+) GiB\)"
        r"(?:.*?maximum model length is (\d+))?",
        "the KV cache has no room for one request of {0} tokens: it takes {1} GiB, there are {2} GiB",
        "give it more memory with VLLM_CPU_KVCACHE_SPACE=GIB (on GPUs --gpu-memory-utilization) "
        "or more blocks with --num-gpu-blocks-override, or shorten requests with --max-model-len{3}",
    ),
    (
        r"No available memory for the cache blocks",
        "there is no memory left for the KV cache",
        "give it more with VLLM_CPU_KVCACHE_SPACE=GIB (on GPUs --gpu-memory-utilization)",
    ),
    (
        r"(?:OSError|ValueError): .*?(\S+) is not a local folder and is not a valid model identifier",
        "there is no model {0!r}, neither a folder here nor a name on the hub",
        "check the spelling, or give the path of a folder",
    ),
    (
        r"(?:LocalEntryNotFoundError|We couldn't connect to 'https://huggingface\.co'|Failed to resolve 'huggingface)",
        "the model is not on this machine and the hub can't be reached",
        "give the path of a model folder, or leave --model out to serve the embedded SmolLM2",
    ),
    (
        r"Address already in use",
        "the port was taken while the model was loading",
        "choose another with --port",
    ),
)


def explained(failure: BaseException, log: StartLog) -> LaunchError:
    """The cause of *failure* in a sentence where the log or the failure shows a known one, else the log's end."""
    if log.released:
        return LaunchError(f"the server stopped: {failure}", "the log above says why")
    lines = log.lines()
    text = "\n".join([*lines, str(failure)])
    for pattern, sentence, advice in _CAUSES:
        if match := re.search(pattern, text, re.DOTALL):
            groups = list(match.groups(default=""))
            if len(groups) == 4:
                groups[3] = f" {groups[3]}" if groups[3] else ""
            return LaunchError(sentence.format(*groups), advice.format(*groups))
    errors = [line for line in lines if re.search(r"\b(ERROR|Error)\b", line)] or lines
    return LaunchError(f"vLLM did not start: {failure}", "\n".join(["the end of its log:", *errors[-25:]]))
