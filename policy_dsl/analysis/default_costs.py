"""What operations cost where nothing was measured: one x86-64 server core of 2024, in microseconds.

Written by `lamps lint --calibrate` on that machine. Rows of *columns* are the sizes in `cost.SIZES`.
"""

from typing import Any

DEFAULT: dict[str, Any] = {
    "version": 1,
    "machine": "by the shipped table; `lamps lint --calibrate` measures this machine",
    "columns": {
        "add": [0.348, 1.69, 16.8],
        "divide": [0.934, 4.32, 53.5],
        "power": [5.93, 49.2, 758.0],
        "exp": [25.8, 94.3, 1160.0],
        "normal_cdf": [50.9, 177.0, 2000.0],
        "logic": [0.241, 0.309, 2.47],
        "compare": [0.371, 0.832, 6.91],
        "select": [3.05, 7.18, 86.2],
        "text": [3.05, 7.18, 86.2],
        "arm": [1.73, 3.2, 49.0],
        "pick": [3.42, 8.01, 93.1],
        "input": [0.1, 0.1, 0.1],
        "program": [4.11, 5.88, 51.4],
        "first": [14.0, 24.7, 64.3],
        "first_promoted": [20.3, 35.6, 102.0],
    },
    "scalars": {
        "constant": 0.0,
        "read": 0.0221,
        "operator": 0.0107,
        "helper": 0.0406,
        "function": 0.148,
        "arm": 0.5,
        "verdict": 1.24,
    },
}
