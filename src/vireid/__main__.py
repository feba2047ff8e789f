"""`python -m vireid`, which `torchrun` needs."""

from vireid.cli.main import main

main()
