"""`python -m signalwire_tokens` is the command `signalwire-tokens`."""

from .cli import main

main()
