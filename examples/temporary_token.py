"""Run a command with an API token that is deleted when it ends: `temporary_token.py COMMAND ...`.

The command `signalwire-tokens run NAME -p messaging -- COMMAND ...` does the same, and passes signals on.
"""

import os
import subprocess
import sys

from signalwire_tokens import Permission, ProjectTokens, SignalWireError


def main(*command: str) -> int:
    with ProjectTokens() as tokens, tokens.temporary("job", [Permission.MESSAGING]) as token:
        # The job gets this token, and not the one that may manage tokens.
        environment = {**os.environ, "SIGNALWIRE_API_TOKEN": token.token.get_secret_value()}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        sys.exit(main(*sys.argv[1:]))
    except (SignalWireError, OSError) as error:
        # The error names a token that could not be deleted.
        sys.exit(str(error))
