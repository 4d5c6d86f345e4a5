"""What operations cost where nothing was measured: an x86-64 server core, in microseconds.

Measured by `lamps lint --calibrate` (Python 3.11, numpy 2.3.5), the least of three runs. The three values of *columns*
are for the sizes in `cost.SIZES`.
"""

from typing import Any

DEFAULT: dict[str, Any] = {
    "version": 1,
    "machine": "by the shipped table; `lamps lint --calibrate` measures this machine",
    "columns": {
        "add": [0.317, 1.31, 16.6],
        "divide": [0.948, 4.16, 56.4],
        "power": [5.86, 50.2, 777.0],
        "exp": [25.8, 92.4, 1090.0],
        "normal_cdf": [51.0, 170.0, 2110.0],
        "logic": [0.234, 0.325, 2.51],
        "compare": [0.342, 0.693, 7.55],
        "select": [3.09, 7.68, 84.5],
        "text": [3.09, 7.68, 84.5],
        "arm": [1.68, 3.0, 33.6],
        "pick": [3.43, 8.38, 92.1],
        "program": [3.89, 3.93, 3.91],
        "input": [0.0343, 1.48, 23.4],
        "first": [12.6, 26.0, 67.1],
        "first_promoted": [19.7, 37.1, 108.0],
    },
    "scalars": {
        "constant": 0.0,
        "read": 0.0232,
        "operator": 0.0118,
        "helper": 0.0426,
        "function": 0.154,
        "bell": 1.28,
        "verdict": 1.26,
        "arm": 1.43,
    },
}
