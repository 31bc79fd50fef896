"""Signing in by a link and by a token, and signing out, on one browser and on all of them."""

import time

from stage import BrowserTest

# A session that was ended is refused within this, whatever a server remembers.
ENDS_WITHIN_S = 10


class SigningIn(BrowserTest):
    def is_asked_to_sign_in(self, page, path="/"):
        page.goto(path)
        return page.locator("input[name=token]").count() == 1

    def test_a_link_of_halfhour_open_says_whom_it_signs_in_and_does_so_once(self):
        link = self.installation.json("open", "--user", "demo", "--print")["url"]
        page = self.reader()
        self.visit(page, link)
        self.assertIn("demo", page.inner_text("main"))
        page.get_by_role("button", name="Sign in as demo").click()
        page.wait_for_url(f"{self.installation.url}/")
        self.assertEqual(page.locator("h1").inner_text(), "Usage")
        self.assertIn("demo", page.inner_text("header"))
        other = self.reader()
        self.visit(other, link)
        answer = self.follow(other, other.get_by_role("button", name="Sign in as demo"))
        self.assertEqual(answer.status, 422)
        self.assertTrue(other.get_by_role("alert").is_visible())
        self.assertTrue(self.is_asked_to_sign_in(other))
        # A browser tells the console of every page that is refused.
        self.assertEqual(len(other.objections.take()), 1)

    def test_a_viewer_token_is_pasted_and_another_one_is_refused_on_the_page(self):
        page = self.reader()
        self.visit(page, "/")
        self.assertTrue(page.url.endswith("/sign-in"))
        for wrong in ["hhv_none", self.installation.credential("device")]:
            page.fill("input[name=token]", wrong)
            self.follow(page, page.get_by_role("button", name="Sign in"))
            self.assertTrue(page.get_by_role("alert").is_visible())
        page.objections.take()
        page.fill("input[name=token]", self.stage.viewer)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.installation.url}/")
        self.assertEqual(page.locator("h1").inner_text(), "Usage")
        self.assertEqual(page.evaluate("document.cookie"), "", "no script reads the session")
        [cookie] = page.context.cookies()
        self.assertEqual((cookie["httpOnly"], cookie["sameSite"]), (True, "Lax"))

    def test_whoever_follows_a_link_into_the_page_gets_there_after_signing_in(self):
        page = self.reader()
        self.visit(page, "/tool?source=codex&last=7")
        page.fill("input[name=token]", self.stage.viewer)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{self.installation.url}/tool?source=codex&last=7")
        self.assertEqual(page.locator("h1").inner_text(), "codex")

    def test_signing_out_ends_the_session_of_this_browser_alone(self):
        token = self.installation.person("leaver")
        pages = [self.reader(), self.reader()]
        for page in pages:
            self.visit(page, "/sign-in")
            page.fill("input[name=token]", token)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{self.installation.url}/")
        kept = pages[0].context.cookies()
        pages[0].get_by_role("button", name="Sign out", exact=True).click()
        pages[0].wait_for_url("**/sign-in")
        self.assertEqual(pages[0].context.cookies(), [])
        self.assertFalse(self.is_asked_to_sign_in(pages[1]))
        # Who kept the cookie has nothing of it.
        pages[0].context.add_cookies(kept)
        self.assert_ended(pages[0])

    def test_signing_out_everywhere_ends_every_session_of_the_person_and_nobody_elses(self):
        token = self.installation.person("leaver everywhere")
        pages = [self.reader(), self.reader()]
        for page in pages:
            self.visit(page, "/sign-in")
            page.fill("input[name=token]", token)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{self.installation.url}/")
        others = self.reader(self.stage.viewer)
        self.visit(pages[0], "/settings")
        pages[0].get_by_role("button", name="Sign out everywhere").click()
        pages[0].wait_for_url("**/sign-in")
        self.assert_ended(pages[1])
        self.assertFalse(self.is_asked_to_sign_in(others))
        # The token is no session, and goes on.
        self.assertEqual(self.installation.api(token, "/v1/me")["name"], "leaver everywhere")

    def assert_ended(self, page):
        began = time.monotonic()
        while not self.is_asked_to_sign_in(page):
            self.assertLess(time.monotonic() - began, ENDS_WITHIN_S + 5, "the session goes on")
            page.wait_for_timeout(250)
