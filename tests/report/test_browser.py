"""The report in headless Chromium, through Playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from browsers import chromium, launch
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from reported import PROTOCOL, TASK, make_suite

from bench.report import build_report

ROWS = f"[id='{TASK}/table/1'] tbody tr.line"
CURVES = f"[id='{TASK}/curves/perplexity']"
PHONE: ViewportSize = {"width": 375, "height": 800}
DESK: ViewportSize = {"width": 1280, "height": 900}
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("browsed")
    path = folder / "report.html"
    path.write_text(build_report(make_suite(folder / "suite", num_runs=60), (TASK,)))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if chromium() is None and not os.environ.get("CI"):
        pytest.skip("no Chromium is installed: a report is looked at in a real browser")
    assert chromium() is not None, "CI has no Chromium"
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=DESK, color_scheme="light")
    context.set_default_timeout(PATIENCE_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture(scope="module")
def loaded(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.said = said = []  # type: ignore[attr-defined]
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: said.append(f"request: {request.url}"))
    page.goto(address)
    return page


@pytest.fixture
def page(loaded: Page) -> Iterator[Page]:
    """The overview; after each test nothing has been said on the console, nothing was fetched."""
    said: list[str] = loaded.said  # type: ignore[attr-defined]
    go(loaded, "overview")
    yield loaded
    fetched = ("request: data:", "request: file:", "request: blob:")
    heard, said[:] = list(said), []
    assert [line for line in heard if not line.startswith(fetched)] == []


def go(page: Page, place: str) -> None:
    page.evaluate("place => { location.hash = ''; location.hash = place }", place)
    page.wait_for_function(
        "place => decodeURIComponent(location.hash.slice(1)) === place", arg=place
    )


def measured(page: Page) -> list[str]:
    return page.locator(f"{ROWS}:visible td[data-column='Measured']").all_inner_texts()


def numbers(cells: list[str]) -> list[float]:
    return [float(cell.split()[0]) for cell in cells if cell.strip()]


def lines_drawn(page: Page) -> int:
    return page.locator(f"{CURVES} .mark-line path").count()


def test_pages_are_shown_one_at_a_time(page: Page) -> None:
    for place in ("overview", TASK):
        go(page, place)
        assert page.locator(".page:visible").count() == 1
    page.locator(".rows tbody a:visible").first.or_(page.locator(".runs a:visible").first).click()
    assert page.locator(".page.run:visible").count() == 1
    expect(page.locator(".side [aria-current]")).to_have_text(TASK + "60")


def test_sorting(page: Page) -> None:
    go(page, TASK)
    head = page.locator(f"[id='{TASK}/table/1'] th", has_text="Measured")
    head.locator("button").click()
    up = measured(page)
    assert numbers(up) == sorted(numbers(up))
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.locator("button").press("Enter")
    down = measured(page)
    assert numbers(down) == sorted(numbers(down), reverse=True)
    assert [bool(cell.strip()) for cell in down] == sorted(
        (bool(c.strip()) for c in down), reverse=True
    )


def test_filtering_by_words_and_verdicts(page: Page) -> None:
    go(page, TASK)
    tools = page.locator(f"[data-for='{TASK}/table/1']")
    every = len(measured(page))
    page.keyboard.press("/")
    page.keyboard.type("lstm 200")
    shown = page.locator(f"{ROWS}:visible th .name").all_inner_texts()
    assert shown
    assert all("lstm" in name.lower() for name in shown)
    expect(tools.locator(".shown")).to_have_text(f"{len(shown)} of {every} rows")
    tools.locator("[data-filter]").fill("")
    chip = tools.locator(".chip").first
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    verdict = chip.get_attribute("data-verdict")
    rows = page.locator(f"{ROWS}:visible")
    assert {rows.nth(i).get_attribute("data-verdict") for i in range(rows.count())} == {verdict}
    chip.click()
    assert len(measured(page)) == every


def test_details_are_shown_on_hover_and_by_keyboard(page: Page) -> None:
    go(page, TASK)
    row = page.locator(ROWS, has_text="Table 2").first
    row.locator("td[data-column='Measured']").hover()
    card = page.locator("#hover")
    expect(card).to_be_visible()
    shown = card.inner_text()
    for word in ("Signature", "perplexity|unit:word", "Source", "Table 2", "Seeds", PROTOCOL):
        assert word in shown
    page.mouse.move(0, 0)
    button = row.locator("button.more")
    button.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(page.locator("tr.detail:visible")).to_have_count(1)
    button.press("Enter")


def test_runs_are_toggled(page: Page) -> None:
    go(page, f"{TASK}/curves")
    expect(page.locator(f"{CURVES}.drawn")).to_be_visible()
    before = lines_drawn(page)
    box = page.locator(f"{CURVES} .toggles .list input:not(:checked)").first
    box.check()
    page.wait_for_function(
        "([at, n]) => document.querySelectorAll(at).length > n",
        arg=[f"{CURVES} .mark-line path", before],
    )
    assert lines_drawn(page) == before + 5  # as many seeds as a configuration has
    page.locator(f"{CURVES} [data-all='off']").click()
    expect(page.locator(f"{CURVES} .plot")).to_have_text("Nothing is chosen.")
    box.check()
    page.wait_for_function(
        "at => document.querySelectorAll(at).length === 5", arg=f"{CURVES} .mark-line path"
    )


@pytest.mark.parametrize(
    ("control", "act"),
    [("logx", "check"), ("logy", "uncheck"), ("smooth", "0.9"), ("y", "both"), ("x", "step")],
)
def test_axes_and_smoothing_change_the_picture(page: Page, control: str, act: str) -> None:
    go(page, f"{TASK}/curves")
    expect(page.locator(f"{CURVES}.drawn")).to_be_visible()
    picture = page.locator(f"{CURVES} .plot")
    before = picture.inner_html()
    field = page.locator(f"{CURVES} [data-control='{control}']")
    if control in ("x", "y"):
        field.select_option(act)
    elif control == "smooth":
        field.fill(act)
    else:
        field.set_checked(act == "check")
    page.wait_for_function(
        "([at, before]) => document.querySelector(at).innerHTML !== before",
        arg=[f"{CURVES} .plot", before],
    )


def test_a_command_is_copied(page: Page) -> None:
    go(page, TASK)
    button = page.locator(".command:visible button.copy").first
    command = page.locator(".command:visible code").first.inner_text()
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_light_and_dark(page: Page) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.locator("#theme").click()
    assert page.evaluate(paper) != light
    page.locator("#theme").click()
    assert page.evaluate(paper) == light
    page.emulate_media(color_scheme="dark")
    page.evaluate("delete document.documentElement.dataset.theme")
    assert page.evaluate(paper) != light
    page.emulate_media(color_scheme="light")


def test_nothing_is_wider_than_a_phone(page: Page) -> None:
    page.set_viewport_size(PHONE)
    places = page.eval_on_selector_all(".page", "pages => pages.map(page => page.id)")
    assert len(places) > 60
    for place in places[:6]:
        go(page, place)
        page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true })")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], place
    page.locator("#menu").click()
    expect(page.locator("#tasks")).to_be_visible()
    page.set_viewport_size(DESK)


def test_print_omits_controls(page: Page) -> None:
    go(page, TASK)
    page.emulate_media(media="print")
    for selector in (".side", ".tools", ".controls", ".copy"):
        assert page.locator(f"{selector}:visible").count() == 0
    assert page.locator(".rows:visible").count() >= 1
    page.emulate_media(media="screen")


def test_everything_is_shown_without_javascript(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address)
    assert page.locator(".page:visible").count() > 60
    assert page.locator("figure .plot svg:visible").count() > 5
    assert page.locator("tr.detail:visible").count() > 0
    assert page.locator(".js-only:visible").count() == 0
    context.close()
