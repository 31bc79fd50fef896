"""Opens the real server in a real browser: tests, or pictures.

    PYTHON tests/browser/run.py CHROMIUM HALFHOUR                  all tests
    PYTHON tests/browser/run.py CHROMIUM HALFHOUR test_links …     these
    PYTHON tests/browser/run.py CHROMIUM HALFHOUR pictures FOLDER  the two pictures of the README

PYTHON is that of an environment with `requirements.txt`, CHROMIUM and HALFHOUR are the two programs. `.ci/run browser` and
`.ci/run pictures` do all of it.
"""

import pathlib
import signal
import sys
import time
import unittest

from chromium import Chromium
from installation import Installation
from pictures import take_pictures
from stage import BrowserTest, Stage

HERE = pathlib.Path(__file__).resolve().parent
# What takes longer is said.
LONG_S = 10


class Result(unittest.TextTestResult):
    """Says what took long, and keeps what was to be seen where a test failed."""

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        if (took := time.monotonic() - self.began) > LONG_S:
            self.stream.writeln(f"  which took {took:.0f} s")

    def kept(self, test):
        places = test.keep() if isinstance(test, BrowserTest) else []
        for place in places:
            self.stream.writeln(f"  the page is in {place}.png and .html")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.kept(test)

    def addError(self, test, err):
        super().addError(test, err)
        self.kept(test)


def tests(names):
    loader = unittest.defaultTestLoader
    return loader.loadTestsFromNames(names) if names else loader.discover(str(HERE))


def main(program, halfhour, *wanted):
    # Whoever ends this ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Installation(halfhour) as installation:
        chromium = Chromium(program, installation.folder / "tmp")
        try:
            if wanted[:1] == ("pictures",):
                take_pictures(chromium, installation, pathlib.Path(wanted[1]))
                return True
            BrowserTest.stage = Stage(installation, chromium)
            runner = unittest.TextTestRunner(verbosity=2, resultclass=Result)
            return runner.run(tests(wanted)).wasSuccessful()
        finally:
            chromium.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(not main(*sys.argv[1:]))
