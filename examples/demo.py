"""The main job from start to end: mint a token, prove that it works, change it, delete it.

Uses the space that SIGNALWIRE_SPACE, SIGNALWIRE_PROJECT_ID and SIGNALWIRE_API_TOKEN name. If none of them is set, it
uses a fake space over HTTP on the loopback interface.
"""

import contextlib
import os
import sys

from signalwire_tokens import AuthenticationError, Permission, ProjectTokens, SignalWireError
from signalwire_tokens.testing import FakeSpace

NAMES = ("SIGNALWIRE_SPACE", "SIGNALWIRE_PROJECT_ID", "SIGNALWIRE_API_TOKEN")


def main() -> None:
    with contextlib.ExitStack() as stack:
        named = any(name in os.environ for name in NAMES)
        if not named:
            fake = FakeSpace()
            url = stack.enter_context(fake.serve())
            os.environ.update(zip(NAMES, (url, fake.project_id, fake.api_token.get_secret_value()), strict=True))
            print(f"No SIGNALWIRE_* variables set: using a fake space at {url}")
        tokens = stack.enter_context(ProjectTokens())
        if named:
            print(f"SIGNALWIRE_* variables set: using {tokens}")

        created = tokens.create("demo", [Permission.CALLING, Permission.MANAGEMENT, "messaging"])
        stack.push(lambda kind, *_: tokens.delete(created.id) if kind else None)  # leave nothing behind on failure
        print(f"created   {created.id}  {created.name}  {', '.join(created.permissions)}  secret {created.token}")

        # Only a token that authenticates, and may manage, can change itself.
        with ProjectTokens(api_token=created.token) as itself:
            changed = itself.update(created.id, name="demo, changed")
            print(f"changed   {changed.id}  {changed.name}  by its own credentials: it works")

            tokens.delete(created.id)
            print(f"deleted   {created.id}")

            try:
                itself.update(created.id, name="demo, changed again")
            except AuthenticationError as error:
                print(f"refused   HTTP {error.status_code}: it works no longer")
            else:
                raise SystemExit("a deleted token still authenticates")


if __name__ == "__main__":
    try:
        main()
    except SignalWireError as error:
        sys.exit(f"demo: {error}")
