"""Swap: KV of paused sessions in host memory, through vLLM's OffloadingConnector."""
