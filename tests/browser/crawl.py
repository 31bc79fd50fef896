"""Follows the links of pages, so that a page is tested because one gets there and not because somebody listed it.

Links that differ only in what they ask for are of one shape. A browser goes to some of each shape, the newest shape
first, and the others are asked for without one, some hundred at most. So the walk ends however many links there are.
"""

import collections
import re
import urllib.parse

from chromium import origin

# So many of a shape are looked at by a browser.
OF_A_SHAPE = 2
# So many pages at most.
MOST_PAGES = 40
# So many more links are asked for at most.
MOST_LINKS = 150
# What comes with the interactive documentation is not ours.
FOREIGN = ("/docs",)
# Digits and ids in a path are of one shape.
NUMBERED = re.compile(r"/[0-9a-f-]{8,}(?=/|$)|/\d+(?=/|$)")

LINKS = """() => [...document.querySelectorAll("a[href], area[href]")].map((link) =>
  new URL(link.getAttribute("href"), document.baseURI).href)"""
DEAD_ANCHORS = """() => [...document.querySelectorAll("a[href^='#']")].map((link) => link.getAttribute("href"))
  .filter((anchor) => !document.getElementById(decodeURIComponent(anchor.slice(1))))"""

Page = collections.namedtuple("Page", "url shape title")


class Walk:
    """What was found: the pages that a browser saw, how many links were asked for, and what was wrong."""

    def __init__(self):
        self.pages = []
        self.asked = set()
        self.wrong = []

    def own_pages(self):
        """The first page of each path that is ours."""
        firsts = {}
        for page in self.pages:
            if not page.shape[0].startswith(FOREIGN):
                firsts.setdefault(page.shape[0], page)
        return list(firsts.values())


def shape(url):
    parts = urllib.parse.urlsplit(url)
    names = {name for name, _ in urllib.parse.parse_qsl(parts.query, keep_blank_values=True)}
    return (NUMBERED.sub("/*", parts.path), tuple(sorted(names)))


def crawl(context, objections, start):
    walk = Walk()
    page = context.new_page()
    first = urllib.parse.urljoin("://".join(objections.origin), start)
    waiting = collections.defaultdict(collections.deque)
    waiting[shape(first)].append(first)
    known = {first}
    seen = collections.Counter()
    while len(walk.pages) < MOST_PAGES:
        newest = [one for one in waiting if waiting[one] and seen[one] < OF_A_SHAPE]
        if not newest:
            break
        one = min(newest, key=lambda one: seen[one])
        url = waiting[one].popleft()
        seen[one] += 1
        if not is_page(context, url, walk):
            continue
        answer = page.goto(url)
        if answer is None or answer.status != 200:
            walk.wrong.append(f"{url}: {answer and answer.status}")
        walk.pages.append(Page(url, one, page.title()))
        walk.wrong += [f"{url}: nothing is called {anchor}" for anchor in dead_anchors(page, one)]
        walk.wrong += [f"{url}: {found}" for found in objections.take()]
        for link in page.evaluate(LINKS):
            link = urllib.parse.urldefrag(link).url
            if origin(link) == objections.origin and link not in known:
                known.add(link)
                waiting[shape(link)].append(link)
    ask_the_rest(context, waiting, walk)
    return walk


def dead_anchors(page, one):
    return [] if one[0].startswith(FOREIGN) else page.evaluate(DEAD_ANCHORS)


def is_page(context, url, walk):
    """Whether a browser shows it. What is a file to keep is only asked for."""
    walk.asked.add(url)
    answer = context.request.get(url)
    if answer.status != 200:
        walk.wrong.append(f"{url}: {answer.status}")
    return answer.status == 200 and answer.headers.get("content-type", "").startswith("text/html")


def ask_the_rest(context, waiting, walk):
    """The links that no browser went to, one of each shape after the other."""
    while len(walk.asked) < MOST_LINKS and any(waiting.values()):
        for links in waiting.values():
            if links and len(walk.asked) < MOST_LINKS:
                is_page(context, links.popleft(), walk)
