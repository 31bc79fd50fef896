"""A headless Chromium, and everything that it has to object to.

A browser has nothing but this machine's loopback: whatever a page would load from elsewhere fails and is an objection.
"""

import os
import urllib.parse

from playwright.sync_api import sync_playwright

# Every wait of the driver has this limit, which only a failure reaches.
PATIENCE_MS = 60_000
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 320, "height": 700}

# The browser tells the console of every breach of the policy. This tells which directive it was.
TELLS_BREACHES = """addEventListener("securitypolicyviolation", (breach) =>
  console.error(`policy: ${breach.violatedDirective} ${breach.blockedURI} ${breach.sample}`))"""


class Chromium:
    """One browser process, of which each context knows nothing of the others."""

    def __init__(self, program, folder):
        # Its profile lies there, so that what it leaves behind is seen.
        os.environ["TMPDIR"] = str(folder)
        self.driver = sync_playwright().start()
        try:
            self.browser = self.driver.chromium.launch(
                executable_path=program,
                headless=True,
                timeout=PATIENCE_MS,
                args=["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--no-proxy-server"],
            )
        except BaseException:
            self.driver.stop()
            raise

    def context(self, url, **options):
        """A reader without cookies, who comes from that server. `options` are Playwright's."""
        options = {"locale": "en-GB", "timezone_id": "Europe/Berlin", "viewport": WIDE, **options}
        context = self.browser.new_context(base_url=url, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(TELLS_BREACHES)
        return context

    def close(self):
        try:
            self.browser.close()
        finally:
            self.driver.stop()


class Objections:
    """What a browser objected to since it was last asked: errors and warnings of the console, which breaches of the
    policy are among, exceptions of scripts, what could not be loaded, and what was asked of another server."""

    def __init__(self, context, url):
        self.origin = origin(url)
        self.found = []
        context.on("console", self.console)
        context.on("weberror", lambda error: self.found.append(f"exception: {error.error}"))
        context.on("request", self.request)
        context.on("requestfailed", self.failed)

    def console(self, message):
        if message.type in ("error", "warning"):
            self.found.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def request(self, request):
        if urllib.parse.urlsplit(request.url).scheme not in ("data", "blob") and origin(request.url) != self.origin:
            self.found.append(f"asked elsewhere: {request.url}")

    def failed(self, request):
        # Whoever goes on to another page, or is given a file to keep, waits for no answer.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.found.append(f"not loaded: {request.url} {request.failure}")

    def take(self):
        """All of them, which are then forgotten."""
        found, self.found = self.found, []
        return found


def origin(url):
    parts = urllib.parse.urlsplit(url)
    return (parts.scheme, parts.netloc)
