"""Rotate in two runs, so that whoever still uses the old secret has time to change to the new one.

`rotate_with_grace.py mint FILE` mints a token and stores it. `rotate_with_grace.py delete FILE` deletes the tokens that
it replaced: run it once every consumer has read FILE again.

FILE is a JSON object: the `id` and `token` in use, and `old`, the IDs to delete. In one file they cannot disagree: a
list that names the token in use would delete it. No call lists tokens, so an ID that is not kept is lost.
"""

import json
import sys
from pathlib import Path
from typing import Any

from rotate_into_file import replace

from signalwire_tokens import ApiToken, Permission, ProjectTokens, SignalWireError


def read(file: str) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        kept = {}
    # On the first run there is no list yet, and perhaps no file.
    return {"old": []} | kept


def mint(file: str) -> None:
    before = read(file)

    def store(new: ApiToken) -> None:
        old = [*before["old"], *([before["id"]] if "id" in before else [])]
        now = {
            "id": str(new.id),
            "name": new.name,
            "permissions": new.permissions,
            "token": new.token.get_secret_value(),
        }
        replace(file, json.dumps({**before, **now, "old": old}))

    with ProjectTokens() as tokens:
        new = tokens.create("service", [Permission.CALLING], store=store)
    print(f"{file} holds {new.id} now; to be deleted: {', '.join(read(file)['old']) or 'nothing'}")


def delete(file: str) -> None:
    kept = read(file)
    with ProjectTokens() as tokens:
        for token_id in kept["old"]:
            # Missing if an earlier run deleted it, and ended before it wrote the file.
            tokens.delete(token_id, missing_ok=True)
    replace(file, json.dumps({**kept, "old": []}))
    print(f"deleted: {', '.join(kept['old']) or 'nothing'}")


if __name__ == "__main__":
    runs = {"mint": mint, "delete": delete}
    if len(sys.argv) != 3 or sys.argv[1] not in runs:
        sys.exit(__doc__)
    try:
        runs[sys.argv[1]](sys.argv[2])
    except (SignalWireError, OSError, ValueError) as error:
        sys.exit(f"{sys.argv[1]} failed: {error}")
