"""Entry point of ``python -m headrace.tfx_worker``; TFX interpreter."""

import sys

from headrace.tfx_worker.cli import main

if __name__ == "__main__":
    sys.exit(main())
