"""`python -m snaphold`."""

import sys

from snaphold.cli.main import main

sys.exit(main())
