"""Everybody can read and use every page: axe-core finds nothing serious, nothing is cut off, and a keyboard is enough.

The interactive documentation is another project's, and is left out.
"""

import pathlib

import axe_playwright_python
from chromium import NARROW, WIDE
from stage import BrowserTest

AXE = (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
SERIOUS = ("serious", "critical")
RUN = "() => axe.run(document, {resultTypes: ['violations']})"
# Whatever a page folds away is a part of it.
UNFOLD = "() => document.querySelectorAll('details').forEach((part) => { part.open = true; })"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = """() => {
  const one = document.activeElement;
  const box = one.getBoundingClientRect();
  const name = (one.getAttribute("aria-label") || one.labels?.[0]?.textContent || one.textContent || one.value || "").trim();
  // A field for a day has parts of the browser's, and the one that has the focus shows it.
  const outline = one.type === "date" ? "its own" : getComputedStyle(one).outlineStyle;
  return [one === document.body, name, box.width > 0 && box.height > 0, outline];
}"""


class Accessibility(BrowserTest):
    def readable(self, token=None, state=None):
        """A reader whose pages may be looked into by a script of this test."""
        if token:
            state = self.stage.signed_in(token)
        context = self.stage.chromium.context(
            self.installation.url, storage_state=state, bypass_csp=True, reduced_motion="reduce")
        self.addCleanup(context.close)
        return context.new_page()

    def looked_at(self, page):
        """What is wrong with what a page shows, light and dark, wide and narrow."""
        found = []
        page.evaluate(UNFOLD)
        page.evaluate(AXE)
        for colours in ["light", "dark"]:
            for size in [WIDE, NARROW]:
                page.emulate_media(color_scheme=colours)
                page.set_viewport_size(size)
                where = f"{page.url}, {colours}, {size['width']} px wide"
                for violation in page.evaluate(RUN)["violations"]:
                    if violation["impact"] in SERIOUS:
                        places = [node["html"][:160] for node in violation["nodes"][:3]]
                        found.append(f"{where}: {violation['id']}: {violation['help']}: {places}")
                if (more := page.evaluate(TOO_WIDE)) > 0:
                    found.append(f"{where}: it is {more} px wider than the window")
        return found

    def test_axe_finds_nothing_serious_on_any_page_light_and_dark_wide_and_narrow(self):
        looked = set()
        for reader, state, walk in self.stage.walks():
            page = self.readable(state=state)
            for found in walk.own_pages():
                with self.subTest(reader=reader, page=found.url):
                    self.visit(page, found.url)
                    self.assertEqual(self.looked_at(page), [])
                looked.add(found.shape[0])
        self.assertLessEqual({"/", "/model", "/tool", "/device", "/day", "/settings", "/sign-in"}, looked)

    def test_nor_on_pages_that_only_a_form_or_a_mistake_leads_to(self):
        page = self.readable(self.stage.viewer)
        for path, status in [("/nowhere", 404), ("/?last=many&width=hour", 422), ("/device?device_id=x", 422)]:
            self.visit(page, path, status)
            if page.locator("h1").count():
                self.assertEqual(self.looked_at(page), [])
        page = self.readable()
        self.visit(page, self.installation.json("open", "--user", "demo", "--print")["url"])
        self.assertEqual(self.looked_at(page), [])
        page = self.readable(self.installation.person("reader"))
        for button in ["Add a device", "Make a link code"]:
            self.visit(page, "/settings")
            adds = page.locator("form", has=page.get_by_role("button", name="Add a device"))
            adds.get_by_label("Name", exact=True).fill("laptop")
            self.follow(page, page.get_by_role("button", name=button))
            self.assertEqual(page.locator("#secret").count(), 1, button)
            self.assertEqual(self.looked_at(page), [])

    def test_a_page_that_somebody_cannot_read_is_found(self):
        page = self.readable(self.stage.viewer)
        self.visit(page, "/settings")
        page.evaluate("""() => document.querySelector("main").insertAdjacentHTML("beforeend",
          "<img src='/x.png'><p style='color: #777; background: #888'>faint</p><p style='width: 2000px'>wide</p>")""")
        found = "\n".join(self.looked_at(page))
        for expected in ["image-alt", "color-contrast", "px wider than the window"]:
            self.assertIn(expected, found)

    def test_a_keyboard_is_enough(self):
        page = self.reader(self.stage.viewer)
        self.visit(page, "/")
        names = []
        for _ in range(1000):
            page.keyboard.press("Tab")
            is_left, name, is_seen, outline = page.evaluate(FOCUSED)
            if is_left:
                break
            self.assertTrue(name, f"behind {names[-3:]} there is something without a name")
            self.assertTrue(is_seen, f"{name} has the focus, and is not seen")
            self.assertNotEqual(outline, "none", f"one does not see that {name} has the focus")
            names.append(name)
        self.assertEqual(names[0], "Skip to the content")
        self.assertLessEqual({"Settings", "Sign out", "90 days", "The API"}, set(names))
        self.visit(page, "/")
        for _ in range(names.index("90 days") + 1):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**last=90**")
