r"""Rotate an API token that AWS Secrets Manager holds: `rotate_into_aws.py SECRET_ID`.

The secret is a JSON object with the token's `id` and `token`, as the command makes it:

    signalwire-tokens create calls -p calling --format json \
        --exec 'aws secretsmanager create-secret --name calls --secret-string file:///dev/stdin'
"""

import json
import sys
from uuid import UUID

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from signalwire_tokens import ApiToken, Permission, ProjectTokens, RotationError, SignalWireError


def main(secret_id: str) -> None:
    vault = boto3.client("secretsmanager")
    text = vault.get_secret_value(SecretId=secret_id).get("SecretString", "")
    try:
        held = json.loads(text)
        old = UUID(held["id"])
    except (ValueError, LookupError, TypeError):
        sys.exit(f"not rotated: {secret_id} holds no JSON object with an `id`; make it as above, with --format json")

    def store(new: ApiToken) -> None:
        # ID and secret in one value, so that they cannot disagree. The SDK repeats a call whose response is lost, and
        # its ClientRequestToken keeps that from making a second version.
        value = held | {"id": str(new.id), "token": new.token.get_secret_value()}
        vault.put_secret_value(SecretId=secret_id, SecretString=json.dumps(value))

    with ProjectTokens() as tokens:
        new = tokens.rotate(old, "calls", [Permission.CALLING], store=store)
    print(f"{secret_id} holds {new.id} now, and {old} is deleted")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except RotationError as error:
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, BotoCoreError, ClientError) as error:
        sys.exit(f"not rotated: {error}")
