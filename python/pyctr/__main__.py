"""``python -m pyctr``."""

import sys

from pyctr.cli.main import main

sys.exit(main())
