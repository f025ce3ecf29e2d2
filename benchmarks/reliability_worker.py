"""Makes calls for `reliability.py`: answers each line, a URL, with a line about the outcome, both as JSON.

It runs in the environment of the client that is measured, so it uses only that client and the standard library.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import Any

CLIENT = sys.argv[1]
TIMEOUT = 1.0


def mint_with_this_library(url: str) -> dict[str, Any]:
    from signalwire_tokens import ProjectTokens

    with ProjectTokens(url, timeout=TIMEOUT) as tokens:
        created = tokens.create("ci", ["fax"])
    return {"id": str(created.id), "token": created.token.get_secret_value()}


def mint_with_the_sdk(url: str) -> Any:
    from signalwire.rest import RequestOptions, RestClient

    os.environ["SIGNALWIRE_SPACE"] = url.removeprefix("http://")
    retries = int(CLIENT.partition("=")[2] or 0)
    options = RequestOptions(timeout=TIMEOUT, retries=retries)
    return RestClient(request_options=options).project.tokens.create(name="ci", permissions=["fax"])


def held(error: BaseException) -> str | None:
    """Return the secret that an error keeps for the caller, if any."""
    body, token = (getattr(error, name, None) for name in ("body", "token"))
    kept = token or body
    return kept.get_secret_value() if hasattr(kept, "get_secret_value") else None


def shown(error: BaseException, *, capture_locals: bool) -> str:
    """Return what an error shows: in a log, or, with its locals, in an error reporter."""
    frames = error.__traceback__
    # Without the frame of this script.
    error.__traceback__ = frames.tb_next if frames else None
    report = traceback.TracebackException.from_exception(error, capture_locals=capture_locals)
    error.__traceback__ = frames
    return f"{error} {error!r} {vars(error)} {''.join(report.format())}"


for line in sys.stdin:
    answer: dict[str, Any]
    mint = mint_with_this_library if CLIENT == "signalwire-tokens" else mint_with_the_sdk
    start = time.monotonic()
    try:
        answer = {"result": mint(json.loads(line))}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is what is measured
        seconds = time.monotonic() - start
        answer = {
            "error": type(error).__name__,
            "may_have_applied": getattr(error, "may_have_applied", None),
            "held": held(error),
            "text": shown(error, capture_locals=False),
            "report": shown(error, capture_locals=True),
        }
    else:
        seconds = time.monotonic() - start
    print(json.dumps({**answer, "seconds": seconds}), flush=True)
