r"""Rotate an API token that a Kubernetes secret holds: `rotate_into_kubernetes.py SECRET`.

The secret has the keys SIGNALWIRE_API_TOKEN_ID and SIGNALWIRE_API_TOKEN, as the command makes them. A pod takes them
into its environment with `envFrom`.

    signalwire-tokens create calls -p calling --format env \
        --exec 'kubectl create secret generic calls --from-env-file=/dev/stdin'
"""

import base64
import json
import subprocess
import sys
from uuid import UUID

from signalwire_tokens import ApiToken, Permission, ProjectTokens, RotationError, SignalWireError


def kubectl(*arguments: str, manifest: str | None = None) -> str:
    # A manifest goes to standard input, as other processes can read arguments.
    command = ["kubectl", *arguments]
    return subprocess.run(command, input=manifest, stdout=subprocess.PIPE, text=True, check=True).stdout


def main(name: str) -> None:
    secret = json.loads(kubectl("get", "secret", name, "--output=json"))
    try:
        old = UUID(base64.b64decode(secret["data"]["SIGNALWIRE_API_TOKEN_ID"]).decode())
    except (ValueError, LookupError):
        sys.exit(f"not rotated: secret {name} has no SIGNALWIRE_API_TOKEN_ID; make it as above, with --format env")

    def store(new: ApiToken) -> None:
        data = {"SIGNALWIRE_API_TOKEN_ID": str(new.id), "SIGNALWIRE_API_TOKEN": new.token.get_secret_value()}
        secret["data"] |= {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        try:
            # Not `apply`, which copies the secret into an annotation. Because of the resourceVersion that was read, the
            # cluster refuses if another rotation was faster.
            kubectl("replace", "--filename=-", manifest=json.dumps(secret))
        except subprocess.CalledProcessError:
            # Perhaps only the response was lost. If `store` raises, the token is deleted: does the cluster hold it?
            if json.loads(kubectl("get", "secret", name, "--output=json"))["data"] != secret["data"]:
                raise

    with ProjectTokens() as tokens:
        new = tokens.rotate(old, "calls", [Permission.CALLING], store=store)
    print(f"secret {name} holds {new.id} now, and {old} is deleted")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except RotationError as error:
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"not rotated: {error}")
