"""Rotate an API token that workflows of GitHub Actions use: `rotate_into_github.py TOKEN_ID`.

Store the first token with the command, which names its ID for the variable:

    signalwire-tokens create github-actions -p calling -p messaging --exec 'gh secret set SIGNALWIRE_CALLS_TOKEN'
    gh variable set SIGNALWIRE_CALLS_TOKEN_ID --body ID

The workflow that runs this on a schedule authenticates with another token, in a secret that this never overwrites. The
GITHUB_TOKEN of a job may not set secrets, so `gh` needs another token, too:

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
            # Last: if `store` fails, the new token is deleted, and GitHub must not hold it then.
            # On standard input, as other processes can read arguments and environments.
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
        # The new token is stored and in use; a person must look after the old one.
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"not rotated: {error}")
