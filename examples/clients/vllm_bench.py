"""What `vllm bench serve` runs: the `vllm` command itself doesn't start where vLLM is the CPU build (0.32).

python vllm_bench.py --base-url http://127.0.0.1:8000 --dataset-name random ...
"""

from __future__ import annotations

from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

if __name__ == "__main__":
    parser = FlexibleArgumentParser()
    add_cli_args(parser)
    main(parser.parse_args())
