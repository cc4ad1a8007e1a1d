# SPDX-License-Identifier: Apache-2.0
"""The loop of a process that a test drives: calls come as one JSON object a
line on standard input, answers go out the same way; end of input ends the
process. world.Agent is the other end."""

import json
import os
import sys
import traceback


def serve(target):
    """Calls are the methods of target."""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            call = getattr(target, request["call"])
            answer = {"value": call(**request["with"])}
        except Exception:  # Everything goes to the test that asked.
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)
    os._exit(0)
