"""Keep an inventory of API tokens, since no call lists them: `token_inventory.py FILE` shows what FILE has kept.

A program that manages tokens keeps the records of the library, which hold no secret, as lines of JSON:

    logger = logging.getLogger("signalwire_tokens")
    logger.addHandler(Inventory("tokens.jsonl"))
    logger.setLevel(logging.INFO)
"""

import getpass
import json
import logging
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Inventory(logging.FileHandler):
    """Appends a line of JSON for each record, with who it was and when."""

    def format(self, record: logging.LogRecord) -> str:
        fields = ("operation", "token_id", "token_name", "permissions", "request_id")
        line = {name: getattr(record, name, None) for name in fields}
        line |= {"level": record.levelname, "message": record.getMessage()}
        line |= {"time": record.created, "who": f"{getpass.getuser()}@{platform.node()}"}
        return json.dumps(line, default=str)


def show(lines: list[dict[str, Any]]) -> None:
    tokens: dict[str, dict[str, Any]] = {}
    unknown: dict[str, dict[str, Any]] = {}
    for line in lines:
        if line["level"] != "INFO":
            # A retry, or something that may exist. What a later record settles is taken out again.
            unknown[line["token_id"] or line["token_name"]] = line
        elif line["operation"] == "delete":
            tokens.pop(line["token_id"], None)
            unknown.pop(line["token_id"], None)
        else:
            minted = tokens.get(line["token_id"], line)
            tokens[line["token_id"]] = {**line, "time": minted["time"], "who": minted["who"]}
            unknown.pop(line["token_id"], None)
            unknown.pop(line["token_name"], None)
    now = datetime.now(UTC)
    for token_id, token in tokens.items():
        age = (now - datetime.fromtimestamp(token["time"], UTC)).days
        print(f"{token_id}  {token['token_name']}  {token['permissions']}  {age} days old, by {token['who']}")
    for line in unknown.values():
        print(f"look in the dashboard: {line['message']}")


if __name__ == "__main__":
    show([json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()])
