"""Mint one token per tenant subproject, thousands at once: `tenant_tokens.py FILE < subproject-ids`.

Each token is written to FILE as a line of JSON when it is minted. Run it again with the same FILE to continue where it
stopped. A line with "unknown" names a token that may exist, whose secret nobody holds: look for it in the dashboard,
then remove the line to mint for that subproject.
"""

import json
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import anyio

from signalwire_tokens import APIStatusError, AsyncProjectTokens, Permission, RateLimitError, SignalWireError

# The service takes 1,380 writes a second; more calls in flight would only wait.
IN_FLIGHT = 16


async def mint(waiting: list[str], file: TextIO) -> dict[str, SignalWireError]:
    """Mint a token for each waiting subproject, write it to the file, and return what failed."""
    minted = 0
    failed: dict[str, SignalWireError] = {}

    def write(**line: str) -> None:
        # Written at once, so that an early end loses no token.
        file.write(json.dumps(line) + "\n")
        file.flush()

    async def work(tokens: AsyncProjectTokens) -> None:
        nonlocal minted
        # The workers share the list; each takes the next until none is left.
        while waiting:
            subproject = waiting.pop()
            # A new name for each attempt: in the dashboard, a stray is then easy to tell from the token in use.
            name = f"tenant-{subproject}-{uuid4().hex[:8]}"
            try:
                token = await tokens.create(name, [Permission.MESSAGING], subproject_id=subproject)
            except SignalWireError as error:
                # The other tenants go on.
                failed[subproject] = error
                if error.may_have_applied:
                    # A later run must not mint a second one.
                    write(subproject=subproject, unknown=name)
            except anyio.get_cancelled_exc_class():
                # Ctrl-C, or another worker failed: this token may exist.
                write(subproject=subproject, unknown=name)
                raise
            else:
                try:
                    write(subproject=subproject, id=str(token.id), token=token.token.get_secret_value())
                except OSError:
                    await tokens.delete(token.id)
                    raise
                minted += 1
            print(f"\r{minted} minted, {len(failed)} failed, {len(waiting)} to go ", end="", file=sys.stderr)

    async with AsyncProjectTokens() as tokens, anyio.create_task_group() as workers:
        for _ in range(IN_FLIGHT):
            workers.start_soon(work, tokens)
    return failed


def main(path: Path, subprojects: list[str]) -> int:
    with open(path, "a+", encoding="utf-8", opener=partial(os.open, mode=0o600)) as file:
        file.seek(0)
        kept = {(line := json.loads(each))["subproject"]: line for each in file}
        waiting = [subproject for subproject in dict.fromkeys(subprojects) if subproject not in kept]
        failed = anyio.run(mint, waiting, file)
        os.fsync(file.fileno())
    print(file=sys.stderr)
    unknown = {
        subproject: kept[subproject]["unknown"] for subproject in subprojects if "unknown" in kept.get(subproject, {})
    }
    for subproject, name in unknown.items():
        print(f"{subproject}: left out: token {name} may exist, look in the dashboard", file=sys.stderr)
    for subproject, error in failed.items():
        refused = isinstance(error, APIStatusError) and not isinstance(error, RateLimitError)
        advice = "look in the dashboard first" if error.may_have_applied else "refused" if refused else "run again"
        print(f"{subproject}: {advice}: {error}", file=sys.stderr)
    return 1 if failed or unknown else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    subprojects = sys.stdin.read().split()
    # An invalid ID would raise a ValueError, and so cancel the calls for all the others.
    if wrong := [each for each in subprojects if not re.fullmatch("[0-9A-Fa-f-]{36}", each)]:
        sys.exit(f"no UUIDs, so nothing was minted: {', '.join(wrong)}")
    try:
        sys.exit(main(Path(sys.argv[1]), subprojects))
    except (SignalWireError, OSError, ValueError) as error:
        sys.exit(str(error))
