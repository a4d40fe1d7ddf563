"""The scenes and the clock that the tests of this floor share are plain modules beside them."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
