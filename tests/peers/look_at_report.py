#!/usr/bin/env python3
"""Opens reports in headless Chromium, in light and in dark, and checks what a person would see.

usage: look_at_report.py REPORT.html... [--screenshots FOLDER]

Each page must be well-formed, fetch nothing, print nothing on the console, show every picture with a size and with a
name, follow the preferred colours, and be no wider than a phone. Exit code 77: there is no Chromium.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --enable-logging=stderr""".split()
SCHEMES = {"light": 1, "dark": 0}  # blink's numbers of preferredColorScheme
DESKTOP, PHONE = (1280, 900), (500, 900)  # Chromium's windows are not narrower
PROBE = """<pre id="probe"></pre><script>addEventListener("load", () => {
  const size = e => { const b = e.getBoundingClientRect(); return [b.width, b.height]; };
  const colour = (e, what) => getComputedStyle(e)[what];
  document.getElementById("probe").textContent = JSON.stringify({
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    page: colour(document.body, "backgroundColor"), ink: colour(document.body, "color"),
    pictures: [...document.querySelectorAll("svg")].map(e => ({
      name: e.getAttribute("aria-label"), size: size(e),
      back: colour(e.querySelector("rect"), "fill"), text: colour(e.querySelector("text"), "fill") })),
    photos: [...document.images].map(e => ({
      name: e.alt, size: size(e), loaded: e.complete && e.naturalWidth > 0 })),
    width: document.documentElement.scrollWidth, window: innerWidth }); });</script>"""


def check_text(page):
    """The file itself: well-formed, with nothing that is fetched."""
    tree = xml.fromstring(page)
    for element in tree.iter():
        if element.tag in ("script", "link", "iframe", "object", "embed", "base"):
            raise AssertionError(f"<{element.tag}> in a page that needs none")
        for name, value in element.attrib.items():
            if name in ("src", "href") and not re.fullmatch(r"data:image/(jpeg|png);base64,[\w+/=]+|#[\w-]+|[\w-]+\.(svg|csv)", value):
                raise AssertionError(f"<{element.tag} {name}={value[:80]!r}> leads out of the report")
    styles = "".join(element.text or "" for element in tree.iter("style"))
    assert "url(" not in styles and "@import" not in styles, "the style sheet fetches something"


def browse(chromium, page, scheme, size, *arguments):
    """What Chromium prints about a page; any word on its console fails."""
    with tempfile.TemporaryDirectory() as profile:
        command = [chromium, *FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}",
                   f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", *arguments, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert done.returncode == 0, f"Chromium ended with {done.returncode}: {done.stderr[-2000:]}"
    assert not said, "\n".join(said)
    return done.stdout


def brightness(colour):
    red, green, blue = (float(value) for value in re.findall(r"[\d.]+", colour)[:3])
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def check_view(found, scheme, where):
    assert found["dark"] == (scheme == "dark"), f"{where}: Chromium does not prefer {scheme}"
    assert found["pictures"], f"{where}: no picture"
    back, ink = brightness(found["page"]), brightness(found["ink"])
    assert (back < 0.3 and ink > 0.7) if scheme == "dark" else (back > 0.7 and ink < 0.3), f"{where}: {found['page']}, {found['ink']}"
    for picture in found["pictures"]:
        assert picture["name"] and min(picture["size"]) > 100, f"{where}: {picture}"
        contrast = abs(brightness(picture["back"]) - brightness(picture["text"]))
        assert contrast > 0.5 and abs(brightness(picture["back"]) - back) < 0.2, f"{where}: {picture}"
    for photo in found["photos"]:
        assert photo["name"] and photo["loaded"] and min(photo["size"]) > 20, f"{where}: {photo}"
    assert found["width"] <= found["window"], f"{where}: {found['width']} pixels in a window of {found['window']}"


def look(chromium, report, screenshots):
    page = report.read_text(encoding="utf-8")
    check_text(page)
    assert page.count("http-equiv") == 1, "the page forbids itself to fetch"
    # The page allows no script; its copy gets one that measures.
    copy = re.sub(r"<meta http-equiv=[^>]*>", "", page, count=1).replace("</body>", PROBE + "</body>")
    with tempfile.TemporaryDirectory() as folder:
        measured = pathlib.Path(folder) / "measured.html"
        measured.write_text(copy, encoding="utf-8")
        for scheme in SCHEMES:
            browse(chromium, report, scheme, DESKTOP, "--dump-dom")
            if screenshots:
                shot = screenshots / f"{report.parent.name}-{scheme}.png"
                browse(chromium, report, scheme, (DESKTOP[0], 9000), f"--screenshot={shot}")
                assert shot.stat().st_size > 10_000, f"{shot} shows nothing"
            for size in (DESKTOP, PHONE):
                where = f"{report}, {scheme}, {size[0]} pixels wide"
                dom = browse(chromium, measured, scheme, size, "--dump-dom")
                text = re.search(r'<pre id="probe">(.*?)</pre>', dom, re.S).group(1)
                text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
                check_view(json.loads(text), scheme, where)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", nargs="+", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path, help="keep the screenshots in this folder")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        print("Chromium (scripts/setup.sh --peers)", file=sys.stderr)
        return 77
    for report in arguments.reports:
        look(chromium, report.resolve(), arguments.screenshots and arguments.screenshots.resolve())
        print(f"{report}: well-formed, self-contained, looked at in light and dark")
    return 0


if __name__ == "__main__":
    sys.exit(main())
