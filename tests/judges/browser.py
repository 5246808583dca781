"""Lets a browser that nobody here wrote show our pages: headless Chromium, without a network.

usage: browser.py PAGE...     each an HTML file, or a folder with a report.html

On screens of three widths no page may be wider than the screen; what is wider by its nature scrolls inside its own
box. Printed, a page may take two sheets of A4 at most. Prints one line a page, and ends with 1 and the
reason at the first that is not so.
"""

import html
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# A phone, a tablet, a desk; in CSS pixels.
WIDTHS = (360, 768, 1280)
SHEETS = 2


def chromium(*arguments):
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "chromium is not installed: `apt-get install chromium`, or tests/run, which does it"
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(
            [
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--user-data-dir={profile}",
                *arguments,
            ],
            check=True,
            capture_output=True,
            timeout=120,
        ).stdout


def widths(pages, folder):
    """How wide each page wants to be on each screen: it is put into frames of these widths and measured there."""
    frames = "".join(
        f'<iframe style="width:{width}px;height:800px;border:0" srcdoc="{html.escape(page)}"></iframe>'
        for page in pages
        for width in WIDTHS
    )
    script = (
        "onload=()=>{document.title=[...document.querySelectorAll('iframe')]"
        ".map(f=>f.contentDocument.documentElement.scrollWidth+'/'+f.contentDocument.body.innerText.length).join(' ')}"
    )
    outer = folder / "frames.html"
    outer.write_text(f"<!doctype html><title>-</title><script>{script}</script>{frames}")
    shown = chromium("--virtual-time-budget=5000", "--dump-dom", outer.as_uri()).decode()
    measured = re.search(r"<title>([0-9/ ]+)</title>", shown)
    assert measured, "the pages could not be measured"
    pairs = [tuple(map(int, pair.split("/"))) for pair in measured[1].split()]
    assert len(pairs) == len(pages) * len(WIDTHS), "not every page was measured"
    assert all(letters > 100 for _, letters in pairs), f"nothing was shown: {pairs}"
    flat = iter(width for width, _ in pairs)
    return [[next(flat) for _ in WIDTHS] for _ in pages]


def sheets(page, folder):
    source, printed = folder / "page.html", folder / "page.pdf"
    source.write_text(page)
    chromium("--no-pdf-header-footer", f"--print-to-pdf={printed}", source.as_uri())
    return len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes()))


def judge(names, folder):
    paths = [pathlib.Path(name) for name in names]
    pages = [((path / "report.html") if path.is_dir() else path).read_text() for path in paths]
    for path, page, wanted in zip(paths, pages, widths(pages, folder)):
        for screen, wide in zip(WIDTHS, wanted):
            assert wide <= screen, f"{path.name}: {wide} px wide on a screen of {screen} px"
        printed = sheets(page, folder)
        assert 1 <= printed <= SHEETS, f"{path.name}: {printed} sheets when printed"
        print(f"{path.name}: fits {', '.join(map(str, WIDTHS))} px; {printed} when printed")


with tempfile.TemporaryDirectory() as folder:
    try:
        judge(sys.argv[1:], pathlib.Path(folder))
    except Exception as error:
        print(f"not accepted: {error!r}")
        sys.exit(1)
