"""The page as a person uses it: a real browser, the real daemon, a recording replayed as it was recorded."""

import contextlib
import re
import sqlite3
import time
from dataclasses import replace
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from monitor.config import UnusualLabel
from tests.support.accessibility import serious_faults
from tests.support.broker import eventually, free_port
from tests.support.browser import PATIENCE_MS, chromium
from tests.support.command_line import ROOT, start
from tests.support.snapshots import snapshot
from tests.support.stored_events import event, start_of
from tests.support.web_server import LABELS, LISTEN_TOKEN, answers, ask, scores, serving, tone
from tests.support.web_server import TOKEN as WEB_TOKEN

TOKEN = "a-token-of-the-house"
SCORE = re.compile(r"0\.\d\d")
VIEWS = ["now", "timeline", "events", "search", "labels", "health"]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Return the address of a monitor that hears a rooster and a dog again and again."""
    place = tmp_path_factory.mktemp("page")
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    soundfile.write(place / "farm.wav", np.tile(samples[17 * rate : 36 * rate], 60), rate)
    port = free_port()
    (place / "monitor.yaml").write_text(
        f"""
node: farm
sources: [{{name: yard, kind: file, path: farm.wav}}]
labels:
- {{id: rooster, prompts: [a rooster crowing, a cock crowing in the morning]}}
- {{id: dog_bark, prompts: [a dog barking]}}
- {{id: glass, name: Glass breaking, prompts: [glass breaking]}}
clips: {{enabled: true, before_seconds: 1.0, after_seconds: 1.0, speech_filter: false}}
web: {{enabled: true, port: {port}, token_env: PAGE_TOKEN}}
"""
    )
    process = start("run", "--config", "monitor.yaml", "--json", cwd=place, env={"PAGE_TOKEN": TOKEN})
    try:
        eventually(lambda: answers(port) or process.poll() is not None, 120)
        assert process.poll() is None, process.stderr.read()
        yield f"http://127.0.0.1:{port}/"
        process.terminate()
        assert process.wait(30) == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@contextlib.contextmanager
def opened(browser, url, view="", forgiven="nothing", **options):
    """Open the page; it must neither complain, but of what is forgiven, nor ask anybody else."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints, asked = [], set()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.goto(f"{url}#{view}")
    eventually(lambda: page.evaluate("document.querySelector('.link')?.dataset.state") == "live", 60)
    try:
        yield page
        assert [text for text in complaints if forgiven not in text] == []
        assert asked - {""} == {urlsplit(url).netloc}
    finally:
        context.close()


@pytest.fixture
def page(browser, url):
    with opened(browser, url) as page:
        yield page


def unlock(page):
    page.get_by_role("button", name="Unlock").click()
    page.get_by_role("textbox", name="Token").fill(TOKEN)
    page.get_by_role("dialog").get_by_role("button", name="Unlock").click()
    expect(page.get_by_role("button", name="Lock again")).to_be_visible()


@contextlib.contextmanager
def held_up(store):
    """Let a store wait with all it has to write."""
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def label_of(url, label):
    return next((each for each in ask(url, "labels")["rows"] if each["id"] == label), None)


def test_scores_level_and_spectrogram_move(page):
    seen, levels = set(), set()
    rooster = page.locator("[data-label=rooster] .value")

    def moved():
        seen.add(rooster.text_content())
        levels.add(page.locator(".level b").text_content())
        return len(seen) > 3 and len(levels) > 2

    eventually(moved, 60)
    colours = """() => {
        const canvas = document.querySelector('.picture canvas');
        const bytes = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(new Uint32Array(bytes.buffer)).size;
    }"""
    eventually(lambda: page.evaluate(colours) > 20, 60)


def test_an_event_appears_by_itself_and_its_clip_plays_to_the_end(browser, url):
    with opened(browser, url, "events") as page:
        newest = "document.querySelector('.row')?.dataset.id"
        before = page.evaluate(newest)
        page.evaluate("window.untouched = true")
        eventually(lambda: page.evaluate(newest) != before, 60)
        assert page.evaluate("window.untouched")
        row = page.locator(f".row[data-id='{page.evaluate(newest)}']")
        play = row.locator(".play")
        expect(play).to_be_enabled()
        play.click()
        eventually(lambda: page.evaluate("document.querySelector('audio')?.ended"), 60)
        assert page.evaluate("document.querySelector('audio').duration") > 2
        assert page.evaluate("document.querySelector('.strip img').naturalWidth") > 0


def test_a_threshold_that_is_dragged_is_obeyed(page, url):
    unlock(page)
    handle = page.locator("[data-label=glass] [role=slider]")
    track = page.locator("[data-label=glass] .track").bounding_box()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(track["x"] + 0.7 * track["width"], box["y"] + 10, steps=8)
    expect(page.locator("[data-label=glass] output")).to_contain_text("would have")
    page.mouse.move(track["x"] + 0.9 * track["width"], box["y"] + 10, steps=8)
    page.mouse.up()
    eventually(lambda: label_of(url, "glass")["threshold"] == pytest.approx(0.9, abs=0.02), 60)
    shown = f"{label_of(url, 'glass')['threshold']:.2f}"
    expect(handle).to_have_attribute("aria-valuenow", shown)


def test_a_threshold_is_moved_by_keys(page, url):
    unlock(page)
    before = label_of(url, "dog_bark")["threshold"]
    page.locator("[data-label=dog_bark] [role=slider]").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    eventually(lambda: label_of(url, "dog_bark")["threshold"] == pytest.approx(before - 0.03), 60)


def test_without_the_token_nothing_moves(browser, url):
    before = label_of(url, "rooster")["threshold"]
    with opened(browser, url, forgiven="401") as page:  # the browser itself tells of it
        page.locator("[data-label=rooster] [role=slider]").focus()
        page.keyboard.press("ArrowLeft")
        page.get_by_role("button", name="Unlock").click()
        page.get_by_role("textbox", name="Token").fill("not the token")
        with page.expect_response("**/api/session") as answer:
            page.get_by_role("dialog").get_by_role("button", name="Unlock").click()
        assert answer.value.status == 401
        expect(page.get_by_text("Wrong token.")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        assert label_of(url, "rooster")["threshold"] == before


def test_a_label_is_tried_added_by_its_sentence_and_scored(browser, url):
    with opened(browser, url, "labels") as page:
        unlock(page)
        page.get_by_label("Describe a sound").fill("a rooster on a farm")
        expect(page.locator(".now-score b")).to_have_text(SCORE)
        expect(page.locator(".near li").first).to_contain_text("Rooster")
        page.get_by_role("button", name="Add label").click()
        row = page.locator("[data-label=a_rooster_on_a_farm]")
        expect(row).to_be_visible()
        expect(row.locator(".value")).to_have_text(SCORE)
        row.get_by_role("button", name="Remove a rooster on a farm?").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(row).to_have_count(0)
        assert label_of(url, "a_rooster_on_a_farm") is None


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_a_label_shows_by_keyboard_how_often_it_would_have_fired(browser, url, viewport):
    eventually(lambda: ask(url, "memory")["sources"], 60)
    before = label_of(url, "rooster")["threshold"]
    with opened(browser, url, "labels", viewport=viewport) as page:
        unlock(page)
        row = page.locator("[data-label=rooster]")
        row.get_by_role("button", name="in the last week").press("Enter")
        expect(row.locator("figcaption")).to_contain_text("would have fired")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        row.get_by_role("button", name="in the last week").press("Enter")
        expect(row.locator("figure")).to_be_hidden()
        with page.expect_request("**/api/replay") as asked:
            row.get_by_role("slider").press("ArrowLeft")
        assert asked.value.post_data_json == {
            "label": "rooster",
            "keys": {"threshold": pytest.approx(before - 0.01)},
        }
        expect(row.locator("figcaption")).to_contain_text("would have fired")
        eventually(lambda: label_of(url, "rooster")["threshold"] != before, 60)


def test_a_sentence_shows_how_often_it_would_have_fired(browser, url):
    eventually(lambda: any(event["label"] == "rooster" for event in ask(url, "events")["rows"]), 60)
    with opened(browser, url, "labels") as page:
        unlock(page)
        page.get_by_label("Describe a sound").fill("a rooster crowing")
        figure = page.locator(".answer .replayed")
        expect(figure.get_by_role("img", name="By hour of the day")).to_be_visible()
        expect(figure).to_contain_text("would have fired")
        expect(page.locator(".now-score b")).to_have_text(SCORE)


def test_an_event_is_marked_and_deleted(browser, url):
    eventually(lambda: len(ask(url, "events")["rows"]) > 1, 60)
    with opened(browser, url, "events") as page:
        expect(page.get_by_role("combobox", name="Label")).to_contain_text("Glass breaking")
        expect(
            page.locator(".row .what b").filter(has_text=re.compile("^(rooster|dog_bark)$"))
        ).to_have_count(0)
        unlock(page)
        id_ = ask(url, "events")["rows"][-1]["event_id"]
        row = page.locator(f".row[data-id='{id_}']")
        row.get_by_role("button", name="Wrong").click()
        eventually(lambda: ask(url, f"events/{id_}")["review"] == "wrong", 60)
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(row).to_have_count(0)
        assert id_ not in [event["event_id"] for event in ask(url, "events")["rows"]]


def test_an_event_is_shown_before_it_is_written(browser, tmp_path):
    over = event(time.time(), label="bark", source="crib")
    with serving(directory=tmp_path) as served, opened(browser, served.web.url) as page:
        rows = page.locator(".row[data-id]")
        with held_up(served.store):
            for each in (start_of(over), over):
                served.live.on_event(each, LABELS[0])
                served.store.on_event(each, LABELS[0])
                page.goto(f"{served.web.url}#events")
                expect(rows).to_contain_text("active" if each.ended_at is None else "4.0 s")
                page.goto(f"{served.web.url}#labels")
                expect(rows).to_have_count(0)
        eventually(lambda: len(ask(served.web.url, "events")["rows"]) == 1)
        page.goto(f"{served.web.url}#events")
        expect(rows).to_have_count(1)
        expect(rows).to_contain_text("4.0 s")


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_a_sentence_finds_moments_with_their_events_by_keyboard(browser, url, viewport):
    eventually(lambda: any(e["clip"] and e["label"] == "rooster" for e in ask(url, "events")["rows"]), 60)
    with opened(browser, url, "search", viewport=viewport) as page:
        unlock(page)
        expect(page.get_by_text("remembered without audio: yard since")).to_be_visible()
        page.get_by_label("Describe a sound").focus()
        page.keyboard.type("a rooster crowing")
        page.keyboard.press("Enter")
        crowing = page.locator(".found").filter(has=page.get_by_role("link", name="Event: rooster"))
        expect(crowing.first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        crowing.first.get_by_role("button", name="More like this").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Moments that sound like yard")).to_be_visible()
        expect(crowing.first).to_be_visible()
        with page.expect_response("**/api/clips/**"):
            page.locator(".found .play:enabled").first.press("Enter")


def test_more_like_an_event_is_found_from_its_row(browser, url):
    eventually(lambda: any(event["clip"] for event in ask(url, "events")["rows"]), 60)
    with opened(browser, url, "events") as page:
        page.get_by_role("link", name="More like this").last.click()
        expect(page.get_by_text("Moments that sound like")).to_be_visible()
        expect(page.locator(".found").first).to_be_visible()
        page.locator(".found").get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Events")).to_be_visible()
        expect(page.locator(".row[data-id]")).to_have_count(1)


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_a_label_is_learned_from_two_marked_events_by_keyboard(browser, url, viewport):
    eventually(lambda: len(ask(url, "events")["rows"]) > 2, 60)
    name = f"Farm {viewport['width']}"
    with opened(browser, url, "events", viewport=viewport) as page:
        unlock(page)
        rows = page.locator(".row[data-id]")
        expect(rows.nth(1)).to_be_visible()
        for event_id in [row.get_attribute("data-id") for row in rows.all()[:2]]:  # a newer one may come
            page.locator(f"[data-id='{event_id}']").get_by_role("button", name="Example").press("Enter")
        expect(page.get_by_text("2 events marked")).to_be_visible()
        colours = """(button) => [getComputedStyle(button).color, getComputedStyle(button).backgroundColor]"""
        pressed = page.get_by_role("button", name="Example", pressed=True)  # a newer event may be above it
        text, ground = pressed.first.evaluate(colours)
        assert text != ground != "rgba(0, 0, 0, 0)"
        page.get_by_role("button", name="Learn from these").press("Enter")
        expect(page.get_by_text("2 events become examples.")).to_be_visible()
        assert serious_faults(page) == []
        page.get_by_label("Name of the label").fill(name)
        page.keyboard.press("Enter")
        expect(page.get_by_text(f"{name} was learned from 2 examples.")).to_be_visible()
        expect(page.get_by_text("2 events marked")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    learned = label_of(url, f"farm_{viewport['width']}")
    assert (learned["name"], learned["examples"], learned["prompts"]) == (name, True, [])


def test_a_label_is_learned_from_what_was_just_heard_and_removed(browser, url):
    with opened(browser, url, "labels") as page:
        unlock(page)
        page.get_by_role("button", name="Learn from the last 10 s").click()
        page.get_by_label("Label", exact=True).select_option("Glass breaking")
        expect(page.get_by_label("Name of the label")).to_be_hidden()
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Learn from the last 10 s").click()
        page.get_by_label("Name of the label").fill("Just now")
        page.get_by_role("dialog").get_by_role("button", name="Learn").click()
        row = page.locator("[data-label=just_now]")
        expect(row).to_contain_text("learned from examples")
        expect(row.locator(".value")).to_have_text(SCORE)
        row.get_by_role("button", name="Remove Just now?").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(row).to_have_count(0)


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_a_wished_rate_of_false_alarms_is_kept_to_by_keyboard(browser, url, viewport):
    eventually(lambda: ask(url, "memory")["sources"], 60)
    with opened(browser, url, "labels", viewport=viewport) as page:
        unlock(page)
        button = page.get_by_role("button", name="How many false alarms Glass breaking may have")
        button.press("Enter")
        page.get_by_label("At most one false alarm in").select_option("two days")
        expect(page.get_by_role("dialog")).to_contain_text("yard: less than")
        assert serious_faults(page) == []
        page.get_by_role("button", name="Set the target").press("Enter")
        expect(button).to_have_attribute("aria-pressed", "true")
        assert label_of(url, "glass")["keys"]["target"] == "0.5/day"
        button.press("Enter")
        page.get_by_label("At most one false alarm in").select_option("no target: a fixed threshold")
        page.get_by_role("button", name="Set the target").press("Enter")
        expect(button).to_have_attribute("aria-pressed", "false")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_confused_labels_are_looked_for_by_keyboard(browser, url, viewport):
    eventually(lambda: ask(url, "memory")["sources"], 60)
    with opened(browser, url, "labels", viewport=viewport) as page:
        unlock(page)
        page.get_by_role("button", name="Find confused labels").press("Enter")
        expect(page.get_by_role("heading", name="Confused labels")).to_be_visible()
        answer = page.get_by_text(re.compile("fire together|cannot be told apart"))
        expect(answer.first).to_be_visible()
        assert serious_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_without_a_memory_the_search_says_so(browser, tmp_path):
    with (
        serving(directory=tmp_path, remembers=False) as served,
        opened(browser, served.web.url, "search") as page,
    ):
        text = page.get_by_text("Nothing is remembered: memory.enabled is false.")
        expect(text).to_be_visible()


def test_an_unusual_sound_shows_what_it_is_like_and_a_source_how_well_that_is_known(browser, tmp_path):
    with serving(directory=tmp_path) as served:
        told = snapshot(unusual={"crib": {"threshold": None, "words": "learning, 31 h of 48"}}, problems=[])
        served.snapshot = lambda: told
        strange = event(source="crib", label="unusual", like=("glass breaking", "a door", "a bell"))
        served.store.on_event(strange, UnusualLabel())
        eventually(lambda: served.store.written)
        with opened(browser, served.web.url, "events") as page:
            row = page.locator("li.row")
            expect(row).to_contain_text("Unusual sound")
            expect(row).to_contain_text("like glass breaking; a door; a bell")
            page.get_by_role("link", name="Health").click()
            card = page.locator(".sources .card").filter(has_text="crib")
            expect(card).to_contain_text("learning, 31 h of 48")


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_whatever_is_wrong_shows_at_every_view(browser, viewport):
    with serving() as served:
        served.offline = "3 events were refused by the broker"  # any text: the page has no list
        with opened(browser, served.web.url, "now", viewport=viewport) as page:
            link = page.get_by_role("link", name="Health: 1 problem.")
            expect(link).to_have_attribute("data-wrong", "1")
            expect(link).to_have_attribute("title", "crib 3 events were refused by the broker")
            expect(page.locator(".stage .state")).to_have_text("")
            served.live.on_health({}, served.snapshot)
            expect(page.locator(".stage .state")).to_have_text(served.offline)
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
            served.offline = None
            served.live.on_health({}, served.snapshot)
            expect(page.get_by_role("link", name="Health", exact=True)).to_be_visible()
            served.live.on_scores(replace(scores(), gated="absurd_samples"))
            expect(page.locator(".stage .state")).to_have_text("absurd samples")


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 390, "height": 844}])
def test_a_source_is_heard_by_keyboard_and_every_view_says_so(browser, tmp_path, viewport):
    level = "import('/static/listen.js').then(({ heardLevel }) => heardLevel())"
    with (
        serving(directory=tmp_path, listen=True, listen_token_env="NAME") as served,
        tone(served),
        opened(browser, served.web.url, viewport=viewport) as page,
        opened(browser, served.web.url, "labels") as other,
    ):
        page.get_by_role("button", name="Listen").press("Enter")
        page.get_by_role("textbox", name="Token").fill(LISTEN_TOKEN)
        page.keyboard.press("Enter")
        told = "Somebody is listening to crib."
        expect(page.get_by_text(told)).to_be_visible()
        expect(other.get_by_text(told)).to_be_visible()
        eventually(lambda: (page.evaluate(level) or -100) > -20, 60)  # the tone is at -13.5 dB
        shown = page.locator(".level b")
        eventually(lambda: shown.text_content() in {"\u221213", "\u221214"}, 60)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert serious_faults(page) == serious_faults(other) == []
        page.goto(f"{served.web.url}#events")
        expect(page.get_by_role("heading", name="Who listened")).to_be_visible()
        expect(page.locator(".listens li")).to_contain_text("127.0.0.1")
        assert serious_faults(page) == []
        with held_up(served.store):
            served.control.arm(armed=False)
            text = "You no longer hear crib: detection was switched off."
            expect(page.get_by_text(text)).to_be_visible()
            expect(other.get_by_text(told)).to_be_hidden()
            expect(page.locator(".listens li")).to_contain_text("detection was switched off")
        assert page.evaluate(level) is None


def test_who_may_not_listen_is_told_why(browser):
    with (
        serving(listen=True, listen_token_env="NAME") as served,
        opened(browser, served.web.url, forgiven="409") as page,
    ):
        page.get_by_role("button", name="Listen").click()
        page.get_by_role("textbox", name="Token").fill(WEB_TOKEN)
        page.keyboard.press("Enter")
        expect(page.get_by_text("This token does not allow listening.")).to_be_visible()
        page.get_by_role("textbox", name="Token").fill(LISTEN_TOKEN)
        served.control.arm(armed=False)
        page.keyboard.press("Enter")
        expect(page.get_by_text("detection is disarmed; arm it to listen")).to_be_visible()
        expect(page.get_by_role("button", name="Listen")).to_be_visible()


def test_where_nobody_may_listen_there_is_no_button(browser, url):
    with opened(browser, url) as page:
        expect(page.locator(".stage")).to_be_visible()
        expect(page.get_by_role("button", name="Listen")).to_have_count(0)


@pytest.mark.parametrize("view", VIEWS)
def test_a_telephone_shows_all_of_it(browser, url, view):
    with opened(
        browser, url, view, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    ) as page:
        expect(page.locator("h1")).to_be_visible()
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_serious_fault(browser, url, view, scheme):
    with opened(browser, url, view, color_scheme=scheme, reduced_motion="reduce") as page:
        expect(page.locator("main h1")).to_be_visible()
        page.wait_for_timeout(1000)
        assert serious_faults(page) == []


def test_nothing_moves_about_while_it_listens(browser, url):
    with opened(browser, url) as page:
        shift = page.evaluate(
            """() => new Promise((resolve) => {
                let sum = 0;
                new PerformanceObserver((list) => list.getEntries().forEach((each) => { sum += each.value; }))
                    .observe({ type: "layout-shift", buffered: false });
                setTimeout(() => resolve(sum), 6000);
            })"""
        )
        assert shift < 0.1


def test_the_description_of_the_api_is_readable_and_asks_nobody(browser, url):
    context = browser.new_context()
    page = context.new_page()
    asked = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.goto(f"{url}docs")
    expect(page.get_by_text("/api/labels/{label_id}/threshold")).to_be_visible()
    assert asked == {urlsplit(url).netloc}
    context.close()


def test_many_sources_are_a_list_and_only_the_chosen_one_sends_its_spectrogram(browser, tmp_path):
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    soundfile.write(tmp_path / "farm.wav", np.tile(samples[17 * rate : 36 * rate], 20), rate)
    rooms = ", ".join(f"{{name: room{number}, kind: file, path: farm.wav}}" for number in range(10))
    port = free_port()
    (tmp_path / "monitor.yaml").write_text(
        f"sources: [{rooms}]\nwindow: {{hop_seconds: 1}}\n"
        "labels: [{id: rooster, prompts: [a rooster crowing]}]\n"
        f"web: {{enabled: true, port: {port}}}\n"
    )
    process = start("run", "--config", "monitor.yaml", cwd=tmp_path)
    try:
        eventually(lambda: answers(port) or process.poll() is not None, 120)
        with opened(browser, f"http://127.0.0.1:{port}/") as page:
            sources = page.get_by_role("combobox", name="Source")
            expect(sources).to_have_value("room0")
            with page.expect_request(lambda request: request.url.endswith("api/live?view=room7")):
                sources.select_option("room7")
            expect(page.locator("section.stage h2")).to_have_text("room7")
            expect(page.locator("li.score .value")).to_have_text(SCORE)
    finally:
        process.terminate()
        process.communicate()
