"""Keep an inventory of API tokens, since no call lists them: `token_inventory.py FILE` shows what FILE has kept.

A program that manages tokens keeps the records of the library, which hold no secret, as lines of JSON:

    keep("tokens.jsonl")
    with ProjectTokens() as tokens:
        tokens.create("ci-deploy", ["messaging"], store=store)
"""

import getpass
import json
import logging
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

logger = logging.getLogger("signalwire_tokens")


class Lines(logging.Formatter):
    """Formats each record as a line of JSON, with the user and the time."""

    def format(self, record: logging.LogRecord) -> str:
        fields = ("operation", "project_id", "subproject_id", "token_id", "token_name", "permissions", "request_id")
        line = {name: getattr(record, name, None) for name in (*fields, "retry_in")}
        line |= {"level": record.levelname, "message": record.getMessage()}
        line |= {"time": record.created, "who": f"{getpass.getuser()}@{platform.node()}"}
        return json.dumps(line)


def keep(file: str) -> logging.Handler:
    handler = logging.FileHandler(file)
    handler.setFormatter(Lines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    return handler


def show(lines: list[dict[str, Any]]) -> None:
    tokens: dict[str, dict[str, Any]] = {}
    unknown: dict[Any, dict[str, Any]] = {}
    for line in lines:
        if line["level"] != "INFO":
            # Until a later record of the same ID settles it. One of the same name does not: two tokens may have it. The
            # outcome of a retry is in another record.
            if line["retry_in"] is None:
                unknown[line["token_id"] or line["time"]] = line
            continue
        unknown.pop(line["token_id"], None)
        if line["operation"] == "delete":
            tokens.pop(line["token_id"], None)
        elif line["token_id"]:
            known = tokens.get(line["token_id"], line)
            # A change names only what it changed.
            said = {field: value for field, value in line.items() if value is not None}
            tokens[line["token_id"]] = {**known, **said, "time": known["time"], "who": known["who"]}
    now = datetime.now(UTC)
    for token_id, token in tokens.items():
        age = (now - datetime.fromtimestamp(token["time"], UTC)).days
        what = (
            f"{token['token_name'] or '(name unknown)'}  {','.join(token['permissions'] or ['(permissions unknown)'])}"
        )
        where = token["subproject_id"] or token["project_id"]
        print(f"{token_id}  {what}  of project {where}, {age} days old, minted by {token['who']}")
    for line in unknown.values():
        print(f"look in the dashboard: {line['message']}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        show([json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()])
    except (OSError, ValueError) as error:
        sys.exit(str(error))
