"""Every control of the page does what it says, and what it did is in the address."""

import datetime
import urllib.parse

from stage import BrowserTest, figures, ranks, rows_of_bars


def asked(page):
    """The parameters of the address."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).query))


class Controls(BrowserTest):
    def setUp(self):
        super().setUp()
        self.page = self.reader(self.stage.viewer)

    def assert_adds_up(self):
        """The bars, what they are made of, and the lists are all of the total. Returns that."""
        total = int(figures(self.page)["Tokens"])
        rows = rows_of_bars(self.page)
        self.assertEqual(sum(numbers[0] for _, numbers in rows), total, self.page.url)
        for label, numbers in rows:
            self.assertEqual(numbers[0], sum(numbers[1:]), f"{self.page.url}: {label}")
        for title in ["Models", "Tools", "Devices"]:
            lines = ranks(self.page, title)
            section = self.page.locator("section", has=self.page.get_by_role("heading", name=title, exact=True))
            if lines and section.get_by_text(" are listed").count() == 0:
                self.assertEqual(sum(tokens for _, tokens in lines), total, f"{self.page.url}: {title}")
        return total

    def seen(self):
        """All exact numbers of the view."""
        return self.page.locator("main data").evaluate_all("all => all.map(one => one.value)")

    def choices(self):
        """What there is to choose, as names of a group and of a choice in it. One of each group is made."""
        return self.page.locator("main nav.picks:has([aria-current])").evaluate_all(
            """groups => groups.flatMap((group) => [...group.querySelectorAll("a")].map((choice) =>
                 [group.getAttribute("aria-label"), choice.textContent]))""")

    def choose(self, group, choice):
        picks = self.page.get_by_role("navigation", name=group, exact=True)
        self.follow(self.page, picks.get_by_role("link", name=choice, exact=True))
        return self.page.get_by_role("navigation", name=group, exact=True).locator("[aria-current]").all_text_contents()

    def unfold_bars(self):
        """Opens the table behind the bars, and returns it."""
        section = self.page.locator("section:has(svg.bars)")
        section.locator("summary").first.click()
        return section

    def test_every_choice_shows_a_view_that_adds_up_is_a_link_and_survives_a_reload(self):
        self.visit(self.page, "/")
        first, choices = self.page.url, self.choices()
        groups = {group for group, _ in choices}
        self.assertLessEqual({"Range", "What bars are made of", "How wide bars are", "Week start"}, groups)
        for group, choice in choices:
            self.visit(self.page, first)
            self.assertEqual(self.choose(group, choice), [choice], group)
            self.assert_adds_up()
            there, seen = self.page.url, self.seen()
            self.assertNotEqual(there, first, f"{group}: {choice} is not in the address")
            self.page.reload()
            self.assertEqual(self.seen(), seen, there)
            # Whoever is sent the link sees the same.
            other = self.reader(self.stage.viewer)
            self.visit(other, there)
            self.assertEqual(int(figures(other)["Tokens"]), int(figures(self.page)["Tokens"]), there)
            other.context.close()
            self.page.go_back()
            self.assertEqual(self.page.url, first)
        self.assertGreater(len(choices), 10)

    def test_choices_are_kept_when_another_one_is_made(self):
        self.visit(self.page, "/")
        self.choose("Range", "90 days")
        self.choose("How wide bars are", "month")
        self.choose("What bars are made of", "tool")
        self.choose("Week start", "sunday")
        expected = {"last": "90", "width": "month", "group": "tool", "week_start": "sunday"}
        self.assertEqual(asked(self.page), expected)
        self.assertLessEqual(len(rows_of_bars(self.page)), 5)
        self.assert_adds_up()

    def test_a_tool_and_then_a_model_in_it_are_filters_and_one_is_taken_away(self):
        self.visit(self.page, "/?last=90")
        tool, tokens = ranks(self.page, "Tools")[0]
        self.page.locator("table.ranks").get_by_role("link", name=tool, exact=True).click()
        self.page.wait_for_url("**/tool?**")
        self.assertEqual((self.page.locator("h1").inner_text(), self.assert_adds_up()), (tool, tokens))
        model, tokens = ranks(self.page, "Models")[0]
        self.page.locator("table.ranks").get_by_role("link", name=model, exact=True).click()
        self.page.wait_for_url("**/model?**")
        self.assertEqual((asked(self.page)["source"], self.assert_adds_up()), (tool, tokens))
        days = self.page.locator("p.range > time").evaluate_all("all => all.map(one => one.dateTime)")
        both = self.installation.api(
            self.stage.viewer, "/v1/rollups?" + urllib.parse.urlencode(
                {"from": days[0], "to": days[1], "source": tool, "model": model}))
        self.assertEqual(both["totals"]["total_tokens"], tokens)
        self.follow(self.page, self.page.get_by_role("link", name=f"Without Tool {tool}"))
        self.assertEqual((asked(self.page)["model"], "source" in asked(self.page)), (model, False))
        self.assertGreaterEqual(self.assert_adds_up(), tokens)

    def test_bars_lead_to_their_days_and_half_hours(self):
        self.visit(self.page, "/?last=90&width=month")
        label, numbers = rows_of_bars(self.page)[1]
        self.follow(self.page, self.unfold_bars().get_by_role("link", name=label, exact=True))
        self.assertEqual(self.assert_adds_up(), numbers[0], label)
        label, numbers = max(rows_of_bars(self.page), key=lambda row: row[1][0])
        self.follow(self.page, self.unfold_bars().get_by_role("link", name=label, exact=True))
        self.assertIn("/day?", self.page.url)
        self.assertEqual(self.assert_adds_up(), numbers[0], label)
        day = asked(self.page)["day"]
        for name, step in [("Day before", -1), ("Day after", 1)]:
            self.follow(self.page, self.page.get_by_role("link", name=name, exact=True))
            then = datetime.date.fromisoformat(day) + datetime.timedelta(days=step)
            self.assertEqual(asked(self.page)["day"], then.isoformat())
            self.page.go_back()

    def test_the_form_of_days_shows_these(self):
        last = datetime.date.fromisoformat(self.installation.demo["to"])
        days = [(last - datetime.timedelta(days=before)).isoformat() for before in (40, 12)]
        self.visit(self.page, "/?group=tool")
        self.page.get_by_label("From").fill(days[0])
        self.page.get_by_label("To", exact=True).fill(days[1])
        self.page.locator("form", has=self.page.get_by_label("From")).get_by_role("button").click()
        self.page.wait_for_url("**from=**")
        self.assertEqual(asked(self.page), {"group": "tool", "from": days[0], "to": days[1]})
        self.assertEqual(len(rows_of_bars(self.page)), 29)
        self.assert_adds_up()

    def test_the_form_of_zones_shows_days_of_another_one_and_says_what_is_none(self):
        self.visit(self.page, "/")
        for zone, status in [("Asia/Kathmandu", 200), ("Mars/Olympus", 422)]:
            self.page.get_by_label("Days of another zone").fill(zone)
            form = self.page.locator("form", has=self.page.get_by_label("Days of another zone"))
            self.assertEqual(self.follow(self.page, form.get_by_role("button")).status, status, zone)
            self.assertIn("tz" if status == 422 else zone, self.page.inner_text("main"))
        self.assertEqual(len(self.page.objections.take()), 1)
        self.page.go_back()
        self.follow(self.page, self.page.get_by_role("link", name="Without Zone Asia/Kathmandu"))
        self.assertNotIn("tz", asked(self.page))

    def test_weeks_begin_on_the_day_that_is_chosen(self):
        for start, weekday in [("monday", 0), ("sunday", 6)]:
            self.visit(self.page, f"/?last=90&width=week&week_start={start}")
            self.assert_adds_up()
            # `23 Nov – 29 Nov 2026`; the first one may begin within a week.
            for label, _ in rows_of_bars(self.page)[1:]:
                begins, ends = label.split(" – ")
                last = datetime.datetime.strptime(ends, "%d %b %Y")
                first = datetime.datetime.strptime(f"{begins} {last.year}", "%d %b %Y")
                self.assertEqual(first.weekday(), weekday, label)

    def test_lists_and_tables_are_sorted_by_links(self):
        self.visit(self.page, "/?last=90")
        self.page.get_by_role("link", name="Models by Name").click()
        self.page.wait_for_url("**sort=name**")
        names = [name for name, _ in ranks(self.page, "Models")]
        self.assertEqual(names, sorted(names, key=str.casefold))
        self.page.get_by_role("link", name="Models by Tokens").click()
        self.page.wait_for_url("**sort=tokens**")
        tokens = [tokens for _, tokens in ranks(self.page, "Models")]
        self.assertEqual(tokens, sorted(tokens, reverse=True))
        self.follow(self.page, self.unfold_bars().get_by_role("link", name="By tokens"))
        rows = [numbers[0] for _, numbers in rows_of_bars(self.page)]
        self.assertEqual(rows, sorted(rows, reverse=True))

    def test_settings_change_ones_zone_and_add_a_device(self):
        token = self.installation.person("settler")
        page = self.reader(token)
        self.visit(page, "/settings")
        page.get_by_label("Zone", exact=True).fill("Asia/Tokyo")
        self.follow(page, page.locator("form[action$='/settings/zone']").get_by_role("button"))
        self.assertIn("Asia/Tokyo", page.inner_text("main"))
        self.assertEqual(self.installation.api(token, "/v1/me")["time_zone"], "Asia/Tokyo")
        page.get_by_label("Name", exact=True).fill("<i>laptop</i> ☕")
        self.follow(page, page.get_by_role("button", name="Add a device"))
        secret = page.locator("#secret").inner_text()
        self.assertTrue(secret.startswith("hhd_"), secret)
        self.visit(page, "/settings")
        self.assertTrue(page.get_by_role("link", name="<i>laptop</i> ☕").is_visible())
        self.assertNotIn(secret, page.content())
        [device] = self.installation.api(token, "/v1/devices")["data"]
        self.assertEqual(device["name"], "<i>laptop</i> ☕")
