"""What a person reads off the page is what the API says and what stands in the database."""

import csv
import datetime
import io

from stage import BrowserTest, figures, ranks, rows_of_bars

# What figures of the head are called, and the columns that they are the sum of.
FIGURES = {
    "Tokens": "total_tokens",
    "Input": "input_tokens",
    "Cache read": "cache_read_tokens",
    "Cache write": "cache_write_5m_tokens + cache_write_1h_tokens",
    "Output": "output_tokens",
    "Requests": "request_count",
}
UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

# The bars as they are drawn: their words, and how high they are, of the whole drawing.
DRAWN = """drawing => {
  const whole = drawing.viewBox.baseVal.height * drawing.getScreenCTM().d;
  return [...drawing.querySelectorAll(":scope > a, :scope > g")].map((bar) => {
    const parts = [...bar.querySelectorAll("rect:not(.hit)")].map((part) => part.getBoundingClientRect().height);
    return [bar.querySelector("title").textContent, parts.reduce((sum, part) => sum + part, 0) / whole];
  });
}"""


def digits(text):
    return int("".join(letter for letter in text if letter.isdigit()))


def day_of(label):
    return datetime.datetime.strptime(label, "%a %d %b %Y").date().isoformat()


def long_number(text):
    """`50.0 M` as a number."""
    number, _, unit = text.replace("\u202f", " ").partition(" ")
    return int(float(number) * UNITS[unit])


class Numbers(BrowserTest):
    def setUp(self):
        super().setUp()
        self.page = self.reader(self.stage.viewer)
        self.zone = self.installation.demo["time_zone"]

    def range(self):
        """The days that the page says it shows."""
        return self.page.locator("p.range > time").evaluate_all("all => all.map(one => one.dateTime)")[:2]

    def stored(self, what, days, zone=None, more=""):
        """Rows of the demo's buckets of these days: `what` of them, grouped by all but the last expression."""
        day = f"(b.hour_start at time zone '{zone or self.zone}')::date"
        groups = ", ".join(str(place + 1) for place in range(len(what) - 1))
        grouped = f"group by {groups} order by {groups}" if groups else ""
        return self.installation.sql(
            f"select {', '.join(what)} from usage.bucket b join account.device d using (user_id, device_id) "
            f"where b.user_id = '{self.stage.user_id}' and {day} between '{days[0]}' and '{days[1]}' {more} {grouped}"
        )

    def rollups(self, query):
        """All intervals of a read of the API, as label and results."""
        found, cursor = [], ""
        while True:
            reply = self.installation.api(self.stage.viewer, f"/v1/rollups?{query}{cursor}")
            found += [(interval["label"], interval["results"]) for interval in reply["data"]]
            if not reply["next_cursor"]:
                return reply, found
            cursor = f"&cursor={reply['next_cursor']}"

    def test_the_head_has_the_sums_of_the_api_and_of_the_database(self):
        self.visit(self.page, "/")
        days, shown = self.range(), figures(self.page)
        reply, _ = self.rollups(f"from={days[0]}&to={days[1]}")
        for name, column in FIGURES.items():
            [(stored,)] = self.stored([f"sum({column})"], days)
            self.assertEqual(int(shown[name]), int(stored), name)
            self.assertEqual(int(shown[name]), sum(reply["totals"][one] for one in column.split(" + ")), name)
        self.assertGreater(int(shown["Tokens"]), 10**6)
        self.assertIn("nothing pending", self.page.inner_text("p.range"))

    def test_a_whole_demo_is_the_sum_that_the_demo_says(self):
        demo = self.installation.demo
        self.visit(self.page, f"/?from={demo['from']}&to={demo['to']}")
        self.assertEqual(int(figures(self.page)["Tokens"]), demo["totals"]["total_tokens"])
        by_source = {name: sums["total_tokens"] for name, sums in demo["by_source"].items()}
        self.assertEqual(dict(ranks(self.page, "Tools")), by_source)
        self.assertEqual(sum(tokens for _, tokens in ranks(self.page, "Devices")), demo["totals"]["total_tokens"])

    def test_the_table_behind_the_bars_has_each_day_and_tool_of_a_year(self):
        self.visit(self.page, "/?last=365&width=day&group=tool")
        days = self.range()
        section = self.page.locator("section:has(svg.bars)")
        section.locator("summary").first.click()
        tools = section.locator("table").first.locator("thead th.name").all_inner_texts()
        stored = {(day, tool): int(sum_) for day, tool, sum_ in self.stored(
            [f"(b.hour_start at time zone '{self.zone}')::date", "source", "sum(total_tokens)"], days)}
        _, intervals = self.rollups(f"from={days[0]}&to={days[1]}&group_by=source")
        answered = {(label, one["source"]): one["total_tokens"] for label, results in intervals for one in results}
        self.assertEqual(answered, stored)
        shown = {}
        for label, numbers in rows_of_bars(self.page):
            day = day_of(label)
            self.assertEqual(numbers[0], sum(numbers[1:]), day)
            shown |= {(day, tool): tokens for tool, tokens in zip(tools, numbers[1:], strict=True) if tokens}
        self.assertEqual(shown, stored)
        self.assertGreater(len(stored), 500)

    def test_bars_are_drawn_as_high_as_their_tokens(self):
        self.visit(self.page, "/?last=90&width=day&group=model")
        rows = rows_of_bars(self.page)
        drawn = self.page.locator("svg.bars").evaluate(DRAWN)
        top = long_number(self.page.locator(".axis span").first.inner_text())
        self.assertEqual([label for label, _ in rows], [title.rsplit(": ", 1)[0] for title, _ in drawn])
        for (label, numbers), (title, height) in zip(rows, drawn, strict=True):
            self.assertEqual(digits(title.rsplit(": ", 1)[1]), numbers[0], label)
            # A drawing has two hundred steps, and what is not nothing is one of them.
            self.assertAlmostEqual(height, numbers[0] / top, delta=1.01 / 200, msg=label)
        self.assertGreater(max(height for _, height in drawn), 0.3)

    def test_lists_have_what_used_the_most(self):
        self.visit(self.page, "/?last=90")
        for title, column in [("Models", "b.model"), ("Tools", "b.source"), ("Devices", "d.name")]:
            stored = [(name, int(tokens)) for name, tokens in self.stored([column, "sum(total_tokens)"], self.range())]
            stored.sort(key=lambda line: -line[1])
            shown = ranks(self.page, title)
            self.assertEqual(sorted(shown), sorted(stored[: len(shown)]), title)
            self.assertGreaterEqual(len(shown), min(8, len(stored)), title)

    def test_the_year_has_each_day_and_as_many_in_a_row(self):
        self.visit(self.page, "/")
        cells = self.page.locator("svg.heat a title").evaluate_all("all => all.map(one => one.textContent)")
        shown = {day_of(text.rsplit(": ", 1)[0]): digits(text.rsplit(": ", 1)[1]) for text in cells}
        days = [min(shown), max(shown)]
        stored = self.stored([f"(b.hour_start at time zone '{self.zone}')::date", "sum(total_tokens)"], days)
        self.assertEqual({day: tokens for day, tokens in shown.items() if tokens}, {day: int(sum_) for day, sum_ in stored})
        _, intervals = self.rollups(f"from={days[0]}&to={days[1]}")
        answered = {label: sum(one["total_tokens"] for one in results) for label, results in intervals}
        self.assertEqual({day: tokens for day, tokens in shown.items() if tokens}, {d: n for d, n in answered.items() if n})
        runs = "".join("x" if shown[day] else " " for day in sorted(shown)).split(" ")
        said = [digits(text) for text in self.page.locator(".streaks strong").all_inner_texts()]
        self.assertEqual(said[1:3], [max(map(len, runs)), len(stored)])

    def test_a_day_has_its_half_hours_also_when_clocks_change(self):
        last = self.installation.demo["to"]
        half_hours = {last: 48}
        for offset in range(365):
            day = datetime.date.fromisoformat(last) - datetime.timedelta(days=offset)
            # The last Sundays of March and October.
            if day.weekday() == 6 and day.day > 24 and day.month in (3, 10):
                half_hours[day.isoformat()] = 46 if day.month == 3 else 50
        for day, count in half_hours.items():
            self.visit(self.page, f"/day?day={day}")
            lines = self.page.locator("section:has(svg.bars) table tbody tr").evaluate_all(
                "rows => rows.map(row => [row.querySelector('td').textContent, row.querySelector('data').value])")
            self.assertEqual(len(lines), count, day)
            utc = "to_char(b.hour_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
            stored = {hour: int(sum_) for hour, sum_ in self.stored([utc, "sum(total_tokens)"], [day, day])}
            self.assertEqual({hour: int(tokens) for hour, tokens in lines if tokens != "0"}, stored)
        self.assertGreater(len(half_hours), 1, "clocks changed within the year")

    def test_the_sheet_that_is_kept_has_the_numbers_of_the_table(self):
        self.visit(self.page, "/?last=30&width=day")
        section = self.page.locator("section:has(svg.bars)")
        section.locator("summary").first.click()
        with self.page.expect_download() as download:
            section.get_by_role("link", name="CSV").click()
        lines = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
        shown = [(day_of(label), numbers[0]) for label, numbers in rows_of_bars(self.page)]
        self.assertEqual([(line["local_start"][:10], int(line["total_tokens"])) for line in lines], shown)

    def test_another_zone_has_the_days_of_that_zone(self):
        last = datetime.date.fromisoformat(self.installation.demo["to"])
        days = [str(last - datetime.timedelta(days=29)), str(last)]
        by_day = set()
        for zone in ["Asia/Kathmandu", "America/Los_Angeles", self.zone]:
            self.visit(self.page, f"/?from={days[0]}&to={days[1]}&width=day&tz={zone}")
            [(stored,)] = self.stored(["coalesce(sum(total_tokens), 0)"], days, zone)
            self.assertEqual(int(figures(self.page)["Tokens"]), int(stored), zone)
            by_day.add(tuple(numbers[0] for _, numbers in rows_of_bars(self.page)))
        self.assertEqual(len(by_day), 3, "a day is another one elsewhere")

    def test_who_has_no_usage_is_told_how_to_begin(self):
        page = self.reader(self.installation.person("beginner"))
        self.visit(page, "/")
        self.assertTrue(page.get_by_role("heading", name="Nothing was reported yet").is_visible())
        self.assertEqual(figures(page)["Tokens"], "0")
        # What it says is to be typed names this server.
        self.assertIn(self.installation.url, page.inner_text("main"))
