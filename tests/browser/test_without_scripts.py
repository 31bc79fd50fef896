"""All of it works in a browser that runs no scripts."""

from stage import BrowserTest, figures, rows_of_bars


def numbers(page):
    return page.locator("main data").evaluate_all("all => all.map(one => one.value)")


class WithoutScripts(BrowserTest):
    def without(self, token=None):
        return self.reader(token, java_script_enabled=False)

    def test_one_signs_in_looks_around_and_signs_out(self):
        page = self.without()
        self.visit(page, "/")
        page.fill("input[name=token]", self.stage.viewer)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.installation.url}/")
        total = int(figures(page)["Tokens"])
        self.assertEqual(sum(row[0] for _, row in rows_of_bars(page)), total)
        page.get_by_role("navigation", name="Range").get_by_role("link", name="90 days").click()
        page.wait_for_url("**last=90**")
        self.assertGreater(int(figures(page)["Tokens"]), total)
        page.locator("summary").first.click()
        self.assertTrue(page.locator("section:has(svg.bars) table").is_visible())
        page.get_by_role("link", name="Settings").click()
        page.wait_for_url("**/settings")
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.wait_for_url("**/sign-in")
        self.visit(page, "/")
        self.assertEqual(page.locator("input[name=token]").count(), 1)

    def test_every_page_shows_what_it_shows_with_scripts(self):
        for reader, state, walk in self.stage.walks():
            [with_scripts, without] = [
                self.stage.chromium.context(self.installation.url, storage_state=state, java_script_enabled=scripts)
                for scripts in (True, False)
            ]
            self.addCleanup(with_scripts.close)
            self.addCleanup(without.close)
            pages = [with_scripts.new_page(), without.new_page()]
            for found in walk.own_pages():
                for page in pages:
                    self.visit(page, found.url)
                    self.assertTrue(page.locator("h1").first.is_visible(), found.url)
                self.assertEqual(numbers(pages[1]), numbers(pages[0]), f"{reader}: {found.url}")

    def test_a_device_is_added_and_its_token_shown(self):
        token = self.installation.person("without scripts")
        page = self.without(token)
        self.visit(page, "/settings")
        page.get_by_label("Name", exact=True).fill("laptop")
        self.follow(page, page.get_by_role("button", name="Add a device"))
        self.assertTrue(page.locator("#secret").inner_text().startswith("hhd_"))
        # What only a script can do is not offered.
        self.assertFalse(page.get_by_role("button", name="Copy").is_visible())
