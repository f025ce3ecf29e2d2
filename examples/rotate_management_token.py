"""Rotate the API token that manages the others: `rotate_management_token.py FILE`.

FILE is a JSON object with the `id` and the `token` of the one in use. Do not use `rotate` for this: its client keeps
using the old token, and would delete it with itself. Here, the new token deletes the old one, which proves that it can.
"""

import json
import sys
from pathlib import Path
from uuid import UUID

from rotate_into_file import replace

from signalwire_tokens import ApiToken, Permission, ProjectTokens, SignalWireError

PERMISSIONS = [Permission.MANAGEMENT]


def main(file: str) -> None:
    try:
        held = json.loads(Path(file).read_text(encoding="utf-8"))
        old_id, secret = UUID(held["id"]), held["token"]
    except (ValueError, LookupError, TypeError):
        sys.exit(f"not rotated: {file} is no JSON object with `id` and `token`")
    if Permission.MANAGEMENT not in PERMISSIONS:
        sys.exit("the new token would lack `management`: nobody could mint, or delete, with what is stored")

    def store(new: ApiToken) -> None:
        now = {
            "id": str(new.id),
            "name": new.name,
            "permissions": new.permissions,
            "token": new.token.get_secret_value(),
        }
        replace(file, json.dumps({**held, **now}))

    with ProjectTokens(api_token=secret) as tokens:
        new = tokens.create("management", PERMISSIONS, store=store)
    try:
        with ProjectTokens(api_token=new.token) as tokens:
            tokens.delete(old_id, missing_ok=True)
    except SignalWireError as error:
        sys.exit(f"{file} holds {new.id} now, but {old_id} may still exist, delete it: {error}")
    print(f"{file} holds {new.id} now, and {old_id} is deleted")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except (SignalWireError, OSError) as error:
        sys.exit(f"not rotated: {error}")
