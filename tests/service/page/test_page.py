import base64
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.service.page.conftest import Opened, Served

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
from playwright.sync_api import Locator, Page, expect  # noqa: E402

expect.set_options(timeout=20_000)
PAGE = Path(__file__).parents[3] / "src/vireid/service/page"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def assert_accessible(page: Page) -> None:
    """No rule of WCAG 2.2 AA that axe-core knows is broken."""
    expect(page.locator("[aria-busy]")).to_have_count(0)
    options = {"runOnly": RULES, "resultTypes": ["violations"]}
    found = axe.Axe().run(page, options=options).response["violations"]
    assert [(v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in found] == []


def asked(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def cards(page: Page) -> Locator:
    return page.locator(".card[data-id]")


def search(page: Page, picture: Path) -> None:
    page.set_input_files("#choose", picture)
    expect(cards(page).first.locator(".rank")).to_have_text("1")


def hand_over(page: Page, event: str, kind: str, picture: Path) -> None:
    """Drop or paste a picture, as the browser tells the page of it."""
    page.evaluate(
        """([event, kind, name, text]) => {
            const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
            const held = new DataTransfer();
            held.items.add(new File([bytes], name, { type: "image/jpeg" }));
            const about = { bubbles: true, cancelable: true };
            const made = kind === "paste"
                ? new ClipboardEvent(event, { ...about, clipboardData: held })
                : new DragEvent(event, { ...about, dataTransfer: held });
            document.body.dispatchEvent(made);
        }""",
        [event, kind, picture.name, base64.b64encode(picture.read_bytes()).decode()],
    )


def test_the_first_page_shows_what_there_is(opened: Opened) -> None:
    page = opened()
    expect(page.get_by_role("heading", name="Find somebody again")).to_be_visible()
    expect(cards(page).first).to_be_visible()
    expect(page.locator(".notice")).to_contain_text("not an identification")
    expect(page.locator(".notice")).to_contain_text("rendered people")
    expect(page.locator(".people button", has_text="Anna")).to_be_visible()
    assert_accessible(page)


def test_a_chosen_picture_finds_hits_by_its_guessed_spectrum(opened: Opened, picture: Path) -> None:
    page = opened()
    search(page, picture)
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("hits among visible"))
    expect(page.locator("#guessed")).to_contain_text("Looks infrared")
    expect(page.locator(".perhaps")).to_contain_text(re.compile(r"nobody here is the person: .+ %"))
    expect(cards(page).first.locator(".likeness b")).to_have_text(re.compile(r"\d %"))
    assert cards(page).first.get_attribute("data-modality") == "visible"
    assert_accessible(page)

    page.get_by_label("Visible", exact=True).check()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("among infrared"))
    assert asked(page)["spectrum"] == ["visible"]

    page.get_by_label("Search in").select_option("both")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("among all pictures"))


def test_several_pictures_count_together(opened: Opened, picture: Path) -> None:
    page = opened()
    page.set_input_files("#choose", [picture, picture.with_name("0002.jpg")])
    expect(cards(page).first).to_be_visible()
    expect(page.locator(".queries li")).to_have_count(2)
    page.get_by_label("Several pictures count by").select_option("best")
    page.wait_for_url(re.compile("several=best"))
    page.get_by_role("button", name="Search without this picture").first.click()
    expect(page.locator(".queries li")).to_have_count(1)
    expect(page.get_by_label("Several pictures count by")).to_have_count(0)

    for at in (0, 1):
        cards(page).nth(at).locator(".shot").focus()
        page.keyboard.press("x")
    page.get_by_role("button", name="Search with these").click()
    expect(page.locator(".queries li")).to_have_count(2)
    assert len(asked(page)["picture"]) == 2
    expect(cards(page).first.locator(".rank")).to_have_text("1")


def test_dropped_and_pasted_pictures_are_searched_with(opened: Opened, picture: Path) -> None:
    page = opened()
    expect(cards(page).first).to_be_visible()
    hand_over(page, "dragenter", "drag", picture)
    expect(page.locator("#landing")).to_be_visible()
    hand_over(page, "drop", "drag", picture)
    expect(page.locator("#landing")).to_be_hidden()
    expect(cards(page).first.locator(".rank")).to_have_text("1")
    first = asked(page)["upload"]
    hand_over(page, "paste", "paste", picture)
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query)["upload"] != first)
    expect(cards(page).first.locator(".rank")).to_have_text("1")


def test_the_address_says_what_is_asked(opened: Opened, picture: Path) -> None:
    page = opened()
    search(page, picture)
    page.get_by_label("People", exact=True).check()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("people among"))
    first = cards(page).first.get_attribute("data-id")
    page.reload()
    expect(page.get_by_label("People", exact=True)).to_be_checked()
    expect(cards(page).first).to_have_attribute("data-id", first or "")
    page.go_back()
    expect(page.get_by_label("All", exact=True)).to_be_checked()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("hits among"))
    page.go_back()
    expect(page.get_by_role("heading", name="Find somebody again")).to_be_visible()

    elsewhere = opened("?gallery=site&upload=0123456789")
    expect(elsewhere.get_by_role("heading", name="stayed in the browser")).to_be_visible()
    assert_accessible(elsewhere)


def test_words_become_filters(opened: Opened) -> None:
    page = opened()
    words = page.get_by_role("combobox", name="Filter the pictures")
    words.fill("cam")
    expect(page.get_by_role("option", name="camera:")).to_be_visible()
    words.press("ArrowDown")
    words.press("Enter")
    expect(page.locator("#suggestions [role=option]")).to_have_count(6)
    assert_accessible(page)
    words.press_sequentially("nor")
    words.press("ArrowDown")
    words.press("Enter")
    expect(page.locator(".chip > span")).to_have_text("camera:north yard")
    assert asked(page)["filter"] == ['camera:"north yard"']
    expect(page.locator(".card .where").first).to_contain_text("north yard")

    words.fill('camera:dock person:"Béla"')
    words.press("Enter")
    expect(page.locator(".chip")).to_have_count(3)
    expect(page.locator(".card .who").first).to_contain_text("Béla")
    page.get_by_role("button", name="Leave out camera:north yard").click()
    expect(page.locator(".chip")).to_have_count(2)
    words.press("Backspace")
    expect(page.locator(".chip > span")).to_have_text("camera:dock")

    words.fill("camra:gate")
    words.press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text("There is no filter camra:")
    words.fill("a person with a hat")
    words.press("Enter")
    expect(page.get_by_role("alert").first).to_contain_text("reads no sentences")


def test_the_timeline_filters(opened: Opened) -> None:
    page = opened()
    cell = page.locator(".cell").first
    said = cell.get_attribute("aria-label") or ""
    number = int((re.search(r"(\d+) picture", said) or [0, 0])[1])
    cell.click()
    expect(page.locator(".chip")).to_have_count(2)
    assert re.fullmatch(r"after:\S+ before:\S+", asked(page)["filter"][0])
    page.get_by_role("button", name=said.partition(",")[0], exact=True).click()
    expect(page.locator(".chip")).to_have_count(3)
    expect(cards(page)).to_have_count(number)


def test_find_similar_and_side_by_side(opened: Opened, picture: Path) -> None:
    page = opened()
    search(page, picture)
    cards(page).nth(1).hover()
    chosen = cards(page).nth(1).get_attribute("data-id")
    page.get_by_role("button", name="Find similar").click()
    page.wait_for_url(lambda url: parse_qs(urlsplit(url).query).get("picture") == [chosen])
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("among infrared"))
    cards(page).first.locator(".shot").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text("Hit 1")
    expect(dialog.locator(".stage")).to_have_count(2)
    expect(dialog.locator(".strip li").first).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).to_contain_text("Hit 2")
    page.keyboard.press("Escape")
    expect(cards(page).nth(1).locator(".shot")).to_be_focused()


def test_frames_and_tracklets(opened: Opened) -> None:
    page = opened("?gallery=site&filter=camera:gate", reduced_motion="no-preference")
    expect(cards(page).first).to_be_visible()
    framed = page.evaluate(
        "async () => (await (await fetch('api/v1/galleries/site/pictures?filter=camera:gate'))"
        ".json()).pictures.find((each) => each.frame).id"
    )
    page.locator(f'.card[data-id="{framed}"] .shot').click()
    page.get_by_text("Whole frame").click()
    frame = page.locator(".frame canvas")
    expect(frame).to_be_visible()
    page.wait_for_function("() => document.querySelector('.frame canvas').width > 300")

    page.goto(page.url.partition("?")[0] + f"?gallery=site&picture={framed}&group=tracklet")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("tracklets among"))
    shown = cards(page).first.locator("img")
    before = shown.get_attribute("src")
    cards(page).first.hover()
    page.wait_for_function(
        "before => document.querySelector('.card img').src.endsWith(before) === false", arg=before
    )


def side_by_side(page: Page, gallery: str) -> Locator:
    """Search with the first picture of a gallery, and open the first hit; return the dialog."""
    page.goto(page.url.partition("?")[0] + f"?gallery={gallery}")
    shown = cards(page).first.get_attribute("data-id")
    page.goto(page.url.partition("?")[0] + f"?gallery={gallery}&picture={shown}&among=both")
    cards(page).first.locator(".rank").wait_for()
    cards(page).first.locator(".shot").click()
    return page.get_by_role("dialog")


def test_side_by_side_shows_what_matched(opened: Opened) -> None:
    page = opened()
    dialog = side_by_side(page, "striped")
    matched = dialog.get_by_role("button", name="What matched")
    expect(matched).to_have_attribute("aria-pressed", "false")
    matched.click()
    expect(dialog.locator(".stage .shares")).to_have_count(2)
    expect(dialog.locator(".matched")).to_contain_text("Brighter parts made the two more alike")
    expect(dialog.locator(".matched")).to_contain_text(re.compile(r"shoulders \d+ %"))
    expect(matched).to_be_focused()
    shade = dialog.locator(".shares").last
    darkest, lightest = shade.evaluate(
        """(shade) => {
            const told = shade.getContext("2d").getImageData(0, 0, shade.width, shade.height).data;
            const alphas = told.filter((_, at) => at % 4 === 3);
            return [Math.max(...alphas), Math.min(...alphas)];
        }"""
    )
    assert darkest > 60 > 20 > lightest
    assert_accessible(page)
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).to_contain_text("Hit 2")
    expect(dialog.locator(".stage .shares")).to_have_count(2)
    matched.click()
    expect(dialog.locator(".shares, .matched")).to_have_count(0)


def test_other_models_show_what_counts_by_covering_it(opened: Opened) -> None:
    dialog = side_by_side(opened(), "site")
    dialog.get_by_role("button", name="What matched").click()
    expect(dialog.locator(".matched")).to_contain_text("With a brighter place covered")
    expect(dialog.locator(".matched")).to_contain_text(re.compile(r"middle third \d+ %"))
    expect(dialog.locator(".stage .shares")).to_have_count(2)


def test_names_are_text_and_tags_are_kept(opened: Opened, picture: Path) -> None:
    page = opened("?gallery=site&filter=person:Hana")
    cards(page).last.locator(".shot").focus()
    page.keyboard.press("l")
    evil = "<img src=x onerror=alert(1)>"
    form = page.get_by_role("dialog")
    form.get_by_label("Person").fill(evil)
    form.get_by_label("Tags").fill("red hat, <b>tall</b>")
    assert_accessible(page)
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()
    expect(cards(page).last.locator(".who")).to_contain_text(evil)
    page.goto(page.url.partition("?")[0] + '?gallery=site&filter=tag:"red hat"')
    expect(cards(page)).to_have_count(1)
    expect(cards(page).locator(".who")).to_contain_text("<b>tall</b>")
    cards(page).locator(".shot").click()
    expect(page.locator(".facts")).to_contain_text(evil)
    assert page.locator("main b b, main .who img, dialog dd img").count() == 0


def test_confirm_and_reject(opened: Opened, picture: Path) -> None:
    page = opened()
    search(page, picture)
    cards(page).first.locator(".shot").focus()
    page.keyboard.press("y")
    expect(cards(page).first).to_have_class(re.compile(r"\bsame\b"))
    cards(page).nth(1).locator(".shot").click()
    page.get_by_role("dialog").get_by_role("button", name="Another person").click()
    expect(page.get_by_role("dialog").locator(".judged")).to_have_text("another person")
    page.keyboard.press("Escape")
    expect(cards(page).nth(1).locator(".shot")).to_have_attribute(
        "aria-label", re.compile("another person")
    )
    assert_accessible(page)


def test_what_was_said_of_hits_is_there_after_a_reload(opened: Opened) -> None:
    page = opened("?gallery=site&filter=person:Goran+camera:bridge")
    shown = cards(page).first.get_attribute("data-id")
    page.goto(page.url.partition("?")[0] + f"?gallery=site&picture={shown}&among=both")
    expect(cards(page).first.locator(".rank")).to_have_text("1")
    cards(page).first.locator(".shot").focus()
    page.keyboard.press("n")
    expect(cards(page).first).to_have_class(re.compile(r"\bother\b"))
    page.reload()
    expect(cards(page).first).to_have_class(re.compile(r"\bother\b"))
    expect(cards(page).nth(1)).not_to_have_class(re.compile(r"\bother\b"))


def test_remove_and_undo(opened: Opened) -> None:
    page = opened("?gallery=site&filter=person:Goran+camera:bridge")
    expect(cards(page).first).to_be_visible()
    number = cards(page).count()
    first = cards(page).first.get_attribute("data-id") or ""
    cards(page).first.locator(".shot").focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("status").first).to_contain_text("Removed 1 picture")
    expect(cards(page)).to_have_count(number - 1)
    expect(cards(page).first.locator(".shot")).to_be_focused()
    assert_accessible(page)
    page.reload()
    expect(cards(page)).to_have_count(number - 1)

    for at in (0, 1):
        cards(page).nth(at).locator(".shot").focus()
        page.keyboard.press("x")
    chosen = page.get_by_role("region", name="Selected pictures")
    expect(chosen).to_contain_text("2 selected")
    chosen.get_by_role("button", name="Remove").click()
    expect(cards(page)).to_have_count(number - 3)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(f'.card[data-id="{first}"]')).to_have_count(0)
    expect(cards(page)).to_have_count(number - 1)
    cards(page).first.locator(".shot").focus()
    page.keyboard.press("Delete")
    expect(cards(page)).to_have_count(number - 2)
    page.keyboard.press("Control+z")
    expect(cards(page)).to_have_count(number - 1)
    expect(page.locator(".card .shot:focus")).to_have_count(1)


def test_nobody_is_an_answer_and_errors_say_the_way_out(opened: Opened, picture: Path) -> None:
    page = opened()
    search(page, picture)
    page.locator("[name=similarity]").fill("0.9")
    expect(page.get_by_role("heading", name="Nobody here is similar enough")).to_be_visible()
    assert asked(page)["filter"] == ["similarity:0.9"]
    assert_accessible(page)
    page.get_by_role("button", name="Show the most similar ones").click()
    expect(cards(page).first).to_be_visible()

    page.goto(page.url.partition("?")[0] + "?gallery=site&filter=camera:gaet")
    expect(page.get_by_role("alert").last).to_contain_text("did you mean 'gate'")
    assert_accessible(page)
    page.goto(page.url.partition("?")[0] + "?gallery=nowhere")
    expect(page.get_by_role("heading", name="There is no gallery nowhere")).to_be_visible()

    page.goto(page.url.partition("?")[0] + "?gallery=site")
    expect(cards(page).first).to_be_visible()
    page.context.set_offline(True)
    page.locator(".people button", has_text="Anna").click()
    expect(page.get_by_role("heading", name="No answer")).to_be_visible()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(cards(page).first).to_be_visible()


def test_without_a_key_nobody_gets_in(opened: Opened, served: Served) -> None:
    page = opened(scope=None)
    expect(page.get_by_role("heading", name="A key, please")).to_be_visible()
    assert_accessible(page)
    page.locator("[name=key]").fill("vireid_wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert").last).to_contain_text("opens nothing here")
    page.locator("[name=key]").fill(served.keys["read"])
    page.keyboard.press("Enter")
    expect(cards(page).first).to_be_visible()

    cards(page).first.hover()
    expect(page.get_by_role("button", name="Find similar")).to_be_visible()
    assert page.get_by_role("button", name="Remove").count() == 0
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("heading", name="A key, please")).to_be_visible()


def test_a_thousand_hits(opened: Opened, picture: Path) -> None:
    page = opened("?gallery=crowd")
    search(page, picture)
    page.goto(page.url + "&among=both&top=1000")
    expect(cards(page)).to_have_count(1000)
    loaded = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    assert len([url for url in loaded if "/thumbnail" in url]) < 300
    cards(page).first.locator(".shot").focus()
    page.keyboard.press("End")
    expect(cards(page).last.locator(".shot")).to_be_focused()
    expect(cards(page).last.locator("img")).to_have_js_property("complete", True)
    assert page.locator('.shot[tabindex="0"]').count() == 1


def test_on_a_phone(opened: Opened, picture: Path) -> None:
    page = opened(width=390, height=844, has_touch=True, is_mobile=True)
    expect(cards(page).first).to_be_visible()
    search(page, picture)
    expect(cards(page).first).to_be_in_viewport()
    expect(page.get_by_role("button", name="Take a photo")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert_accessible(page)
    cards(page).first.locator(".shot").tap()
    expect(page.get_by_role("dialog").get_by_role("button", name="Same person")).to_be_visible()
    assert page.evaluate("document.querySelector('#compare').scrollWidth") <= 390


def test_in_the_dark(opened: Opened, picture: Path) -> None:
    page = opened(color_scheme="dark")
    expect(cards(page).first).to_be_visible()
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    assert_accessible(page)
    search(page, picture)
    assert_accessible(page)
    for _ in ("light", "dark", "as the system"):
        page.get_by_role("button", name="Colours").click()
        if _ == "light":
            assert page.evaluate(ground) != dark
            page.reload()
            assert page.evaluate(ground) != dark
    assert page.evaluate(ground) == dark


def test_dark_pictures_are_brightened_by_a_switch(opened: Opened) -> None:
    page = opened("?gallery=site&filter=modality:infrared")
    lifted = page.locator(".card img[class*=lift]").first
    lifted.wait_for()
    filter_ = "image => getComputedStyle(image).filter"
    assert "lift" in lifted.evaluate(filter_)
    page.get_by_role("button", name="Brighten dark pictures").click()
    assert lifted.evaluate(filter_) == "none"
    page.keyboard.press("b")
    assert "lift" in lifted.evaluate(filter_)


def test_by_keyboard_alone(opened: Opened) -> None:
    page = opened()
    expect(cards(page).first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the pictures")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#results")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("person:Ann")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".chip > span")).to_have_text("person:Anna")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.card .shot')"):
            break
    first = cards(page).first.locator(".shot")
    expect(first).to_be_focused()
    assert first.evaluate("shot => getComputedStyle(shot).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    expect(cards(page).nth(1).locator(".shot")).to_be_focused()
    page.keyboard.press("s")
    expect(cards(page).first.locator(".rank")).to_have_text("1")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Single letters are shortcuts").press("Space")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help")).to_be_hidden()


def test_it_is_small_and_complete(opened: Opened) -> None:
    """Little is sent before pictures, and no file of the page lies about unused."""
    page = opened()
    expect(cards(page).first).to_be_visible()
    sent = page.evaluate(
        "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
        ".map((each) => [each.name, each.encodedBodySize])"
    )
    files = {Path(urlsplit(url).path).name for url, _ in sent if "/page/" in url}
    assert files | {"index.html"} == {path.name for path in PAGE.iterdir()}
    assert 20_000 < sum(size for url, size in sent if "/pictures/" not in url) <= 150_000
