"""Run a command with an API token that lives as long as the command does: `temporary_token.py COMMAND ...`."""

import os
import subprocess
import sys

from signalwire_tokens import Permission, ProjectTokens, SignalWireError


def main(*command: str) -> int:
    with ProjectTokens() as tokens, tokens.temporary("job", [Permission.MESSAGING]) as token:
        # The job gets what it needs and not the token that may manage tokens.
        environment = {**os.environ, "SIGNALWIRE_API_TOKEN": token.token.get_secret_value()}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (SignalWireError, OSError) as error:
        # A token that could not be deleted is named here.
        sys.exit(str(error))
