"""What all tests stand on: one server with the demo's year, one browser, and who is who."""

import functools
import pathlib
import unittest

from chromium import Objections
from crawl import crawl

# Where what a page looked like when a test failed is kept.
KEPT = pathlib.Path(__file__).resolve().parents[2] / "target/tmp/browser"


class Stage:
    """One for all tests."""

    def __init__(self, installation, chromium):
        self.installation = installation
        self.chromium = chromium
        self.viewer = installation.demo["viewer_token"]
        self.user_id = installation.demo["user_id"]

    @functools.cache
    def signed_in(self, token, start="/"):
        """What a browser keeps that is signed in by a token, or nothing where no page asks for one there."""
        with self.chromium.context(self.installation.url) as context:
            page = context.new_page()
            page.goto(start)
            if page.locator("input[name=token]").count() == 0:
                return None
            page.fill("input[name=token]", token)
            with page.expect_navigation():
                page.click("main button")
            return context.storage_state() if page.locator("input[name=token]").count() == 0 else None

    @functools.cache
    def walks(self):
        """Every page that links lead to, for each kind of reader, with what was found on the way."""
        readers = [
            ("nobody", None, "/sign-in"),
            ("somebody with a year", self.signed_in(self.viewer), "/"),
            ("somebody without usage", self.signed_in(self.installation.person("empty")), "/"),
            ("an operator", self.signed_in(self.installation.credential("operator"), "/operate"), "/operate"),
        ]
        walks = []
        for name, state, start in readers:
            # A release without pages for operators asks for no token there.
            if state is None and name == "an operator":
                continue
            with self.chromium.context(self.installation.url, storage_state=state) as context:
                objections = Objections(context, self.installation.url)
                walks.append((name, state, crawl(context, objections, start)))
        return walks


class BrowserTest(unittest.TestCase):
    """A test whose browsers may object to nothing, unless it takes the objections itself."""

    stage: Stage

    def setUp(self):
        self.readers = []

    @property
    def installation(self):
        return self.stage.installation

    def reader(self, token=None, **options):
        """A page of a browser of its own, signed in by a token, or not."""
        state = self.stage.signed_in(token) if token else None
        self.assertEqual(token is None, state is None, "nobody was signed in")
        context = self.stage.chromium.context(self.installation.url, storage_state=state, **options)
        self.addCleanup(context.close)
        page = context.new_page()
        page.objections = Objections(context, self.installation.url)
        self.readers.append(page)
        return page

    def visit(self, page, path, status=200):
        """Goes there, and asserts what is answered."""
        answer = page.goto(path)
        self.assertEqual(answer.status, status, path)
        return answer

    def follow(self, page, locator):
        """Clicks on what leads to another page, and returns what is answered there."""
        with page.expect_navigation() as answer:
            locator.click()
        return answer.value

    def tearDown(self):
        for page in self.readers:
            # What the browser says comes in order, and so before this answer.
            if not page.is_closed():
                page.title()
            self.assertEqual(page.objections.take(), [], f"the browser objected at {page.url}")

    def keep(self):
        """Keeps what the pages look like now, and says where."""
        KEPT.mkdir(parents=True, exist_ok=True)
        places = []
        for number, page in enumerate(self.readers):
            place = KEPT / f"{self._testMethodName}-{number}"
            try:
                page.screenshot(path=place.with_suffix(".png"), full_page=True)
                place.with_suffix(".html").write_text(page.content())
            except Exception:  # What cannot be kept must not hide what failed.
                continue
            places.append(str(place))
        return places


def figures(page):
    """The numbers of the head, by what they are called."""
    cells = page.locator("section.figures .figure")
    read = "all => all.map(cell => [cell.querySelector('h2').textContent, cell.querySelector('data')?.value])"
    return {name: value for name, value in cells.evaluate_all(read)}


def rows_of_bars(page):
    """The table behind the bars: what stands first in each line, and its exact numbers."""
    table = page.locator("section:has(svg.bars) table").first
    read = """rows => rows.map(row => [row.querySelector('th').textContent,
                               [...row.querySelectorAll('data')].map(one => one.value)])"""
    lines = table.locator("tbody tr").evaluate_all(read)
    return [(name, [int(number) for number in numbers]) for name, numbers in lines]


def ranks(page, title):
    """A list of what used the most: its lines as name and tokens."""
    section = page.locator("section", has=page.get_by_role("heading", name=title, exact=True))
    read = """rows => rows.map(row => [row.querySelector('th a').textContent,
                               row.querySelector('data').value])"""
    lines = section.locator("table.ranks tbody tr").evaluate_all(read)
    return [(name, int(tokens)) for name, tokens in lines]
