"""Rotate an API token that workflows of GitHub Actions use: `rotate_into_github.py TOKEN_ID`.

The first one gets there with the command, which says the ID for the variable:

    signalwire-tokens create github-actions -p calling -p messaging --exec 'gh secret set SIGNALWIRE_CALLS_TOKEN'
    gh variable set SIGNALWIRE_CALLS_TOKEN_ID --body ID

The workflow that runs this on a schedule authenticates with another token, under a name that this never overwrites. The
GITHUB_TOKEN of a job may not set secrets, so `gh` needs a token of its own:

    - run: python rotate_into_github.py "${{ vars.SIGNALWIRE_CALLS_TOKEN_ID }}"
      env:
        SIGNALWIRE_SPACE: example.signalwire.com
        SIGNALWIRE_PROJECT_ID: ${{ vars.SIGNALWIRE_PROJECT_ID }}
        SIGNALWIRE_API_TOKEN: ${{ secrets.SIGNALWIRE_MANAGEMENT_TOKEN }}
        GH_TOKEN: ${{ secrets.ROTATION_GH_TOKEN }}
"""

import subprocess
import sys

from signalwire_tokens import ApiToken, Permission, ProjectTokens, RotationError, SignalWireError

SECRET, VARIABLE = "SIGNALWIRE_CALLS_TOKEN", "SIGNALWIRE_CALLS_TOKEN_ID"


def main(token_id: str) -> None:
    def remember(current: str) -> None:
        # The next rotation must know which token to delete. An ID is no secret.
        subprocess.run(["gh", "variable", "set", VARIABLE, "--body", current], check=True)

    def store(new: ApiToken) -> None:
        remember(str(new.id))
        try:
            # Last, as a `store` that fails costs the new token: GitHub must not hold it by then.
            # On standard input: arguments and environments are there for other processes to read.
            secret = new.token.get_secret_value()
            subprocess.run(["gh", "secret", "set", SECRET], input=secret, text=True, check=True)
        except BaseException:
            remember(token_id)
            raise

    with ProjectTokens() as tokens:
        new = tokens.rotate(token_id, "github-actions", [Permission.CALLING, Permission.MESSAGING], store=store)
    print(f"GitHub Actions uses {new.id} now, and {token_id} is deleted")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except RotationError as error:
        # The new one is in use, so going on is safe; the old one is for a person to look after.
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"not rotated: {error}")
