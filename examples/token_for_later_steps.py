"""Mint an API token for the later steps of a GitHub Actions job, which find it in their environment.

The job's last step deletes it, whatever happened before:

    - if: always() && env.SIGNALWIRE_TEST_TOKEN_ID
      run: signalwire-tokens delete "$SIGNALWIRE_TEST_TOKEN_ID"
"""

import os
import sys
from pathlib import Path

from signalwire_tokens import Permission, ProjectTokens, SignalWireError


def main() -> None:
    # Looked up first: a missing variable must not cost a token.
    environment, run = Path(os.environ["GITHUB_ENV"]), os.environ["GITHUB_RUN_ID"]
    with ProjectTokens() as tokens:
        # The name says where it comes from, for whoever finds it in the dashboard.
        created = tokens.create(f"github-run-{run}", [Permission.MESSAGING])
        try:
            secret = created.token.get_secret_value()
            # From here on, GitHub masks it in all that the job prints.
            print(f"::add-mask::{secret}", flush=True)
            with environment.open("a", encoding="utf-8") as file:
                file.write(f"SIGNALWIRE_TEST_TOKEN_ID={created.id}\nSIGNALWIRE_TEST_TOKEN={secret}\n")
        except BaseException:
            tokens.delete(created.id)
            raise
    print(f"later steps use {created.id}")


if __name__ == "__main__":
    try:
        main()
    except KeyError as error:
        sys.exit(f"{error.args[0]} is not set: this runs in GitHub Actions")
    except (SignalWireError, OSError) as error:
        sys.exit(str(error))
