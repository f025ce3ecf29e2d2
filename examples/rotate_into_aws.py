"""Rotate an API token that AWS Secrets Manager holds: `rotate_into_aws.py SECRET_ID`.

The secret is a JSON object with the token's `id` and `token`. Put the first one there with the same two keys.
"""

import json
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from signalwire_tokens import ApiToken, Permission, ProjectTokens, RotationError, SignalWireError


def main(secret_id: str) -> None:
    vault = boto3.client("secretsmanager")
    old = json.loads(vault.get_secret_value(SecretId=secret_id)["SecretString"])["id"]

    def store(new: ApiToken) -> None:
        # ID and secret in one value, so that they cannot disagree. The SDK repeats a call whose response is lost, and
        # its ClientRequestToken keeps that from making a second version.
        value = json.dumps({"id": str(new.id), "token": new.token.get_secret_value()})
        vault.put_secret_value(SecretId=secret_id, SecretString=value)

    with ProjectTokens() as tokens:
        new = tokens.rotate(old, "service", [Permission.CALLING], store=store)
    print(f"{secret_id} holds {new.id} now, and {old} is deleted")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except RotationError as error:
        sys.exit(f"delete {error.old_token_id} by hand: {error}")
    except (SignalWireError, BotoCoreError, ClientError) as error:
        sys.exit(f"not rotated: {error}")
