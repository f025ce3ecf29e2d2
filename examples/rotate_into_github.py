"""Rotate the API token that GitHub Actions uses: `rotate_into_github.py TOKEN_ID`, where `gh` is logged in.

Run it on a schedule with TOKEN_ID from the variable SIGNALWIRE_API_TOKEN_ID, which it keeps up to date.
"""

import subprocess
import sys

from signalwire_tokens import ApiToken, Permission, ProjectTokens, RotationError, SignalWireError


def store(new: ApiToken) -> None:
    # On standard input: arguments and environments are there for other processes to read.
    secret = new.token.get_secret_value()
    subprocess.run(["gh", "secret", "set", "SIGNALWIRE_API_TOKEN"], input=secret, text=True, check=True)
    # The next rotation must know which token to delete. An ID is no secret.
    subprocess.run(["gh", "variable", "set", "SIGNALWIRE_API_TOKEN_ID", "--body", str(new.id)], check=True)


def main(token_id: str) -> None:
    with ProjectTokens() as tokens:
        # Only once `store` has returned is the old token deleted: no job ever runs without one that works.
        new = tokens.rotate(token_id, "github-actions", [Permission.CALLING, Permission.MESSAGING], store=store)
    print(f"GitHub Actions uses {new.id} now, and {token_id} is deleted")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RotationError as error:
        # The new one is in use, so going on is safe; the old one is for a person to look after.
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, subprocess.CalledProcessError) as error:
        sys.exit(f"not rotated: {error}")
