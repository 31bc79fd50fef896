"""Whatever links lead to is there, and no browser objects to it. So does the walk find what it is to find."""

import http.server
import threading

from chromium import Objections
from crawl import crawl
from stage import BrowserTest

# The first screen, with all that it loads, over the wire.
MOST_BYTES = 100 * 1024

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'"
PLANTED = {
    "/": "<title>x</title><a href='/gone'>1</a><a href='/odd?a=1'>2</a><a href='/odd?a=2'>2</a><a href='#nowhere'>3</a>",
    "/odd?a=1": "<title>x</title><p style='color: red'>",
    "/odd?a=2": "<title>x</title><img src='http://192.0.2.1/x.png' alt=''>",
    "/favicon.ico": "",
}


class Planted(http.server.BaseHTTPRequestHandler):
    """Pages with whatever is wrong with them."""

    def do_GET(self):
        found = PLANTED.get(self.path)
        self.send_response(404 if found is None else 200)
        self.send_header("content-type", "text/html")
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write((found or "").encode())

    def log_message(self, *_):
        """Nothing: what was asked is of no interest."""


class Links(BrowserTest):
    def test_every_link_of_every_page_leads_somewhere_and_no_browser_objects(self):
        walks = self.stage.walks()
        for reader, _, walk in walks:
            with self.subTest(reader=reader):
                self.assertEqual(walk.wrong, [])
        found = {reader: {page.shape[0] for page in walk.pages} for reader, _, walk in walks}
        self.assertLessEqual({"/", "/model", "/tool", "/device", "/day", "/settings"}, found["somebody with a year"])
        self.assertIn("/sign-in", found["nobody"])
        asked = {reader: len(walk.asked) for reader, _, walk in walks}
        self.assertGreater(asked["somebody with a year"], 100, asked)

    def test_a_dead_link_and_what_a_browser_objects_to_are_found(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Planted)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        context = self.stage.chromium.context(url)
        self.addCleanup(context.close)
        wrong = "\n".join(crawl(context, Objections(context, url), "/").wrong)
        for expected in ["/gone: 404", "nothing is called #nowhere", "policy: style-src", "http://192.0.2.1/x.png"]:
            self.assertIn(expected, wrong)

    def test_an_exception_of_a_script_is_an_objection(self):
        page = self.reader(self.stage.viewer)
        self.visit(page, "/")
        with page.context.expect_event("weberror"):
            page.evaluate("setTimeout(() => { throw new Error('planted'); })")
        [found] = page.objections.take()
        self.assertIn("planted", found)

    def test_the_first_screen_is_light_with_all_that_it_loads(self):
        page = self.reader(self.stage.viewer)
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        received = []
        network.on("Network.loadingFinished", lambda loaded: received.append(loaded["encodedDataLength"]))
        self.visit(page, "/")
        page.wait_for_load_state("networkidle")
        self.assertGreaterEqual(len(received), 3, "the document, the style and the script")
        self.assertLess(sum(received), MOST_BYTES)
