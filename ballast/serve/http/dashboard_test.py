"""The dashboard in headless Chromium, driven over the WebDriver protocol: argument 1 is the server's port. Exits 77
when there is no chromedriver. Checks that charts move with live points, and that the try-it box shows an answer and
what was promised and kept."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

driver = shutil.which("chromedriver")
if driver is None or shutil.which("chromium") is None:
    sys.exit(77)


def ask(url, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)["value"]


folder = tempfile.mkdtemp()
log = open(os.path.join(folder, "log"), "w+")
process = subprocess.Popen([driver, "--port=0"], stdout=log, stderr=subprocess.STDOUT)
session = None
try:
    port = None
    for _ in range(600):
        log.seek(0)
        found = re.search(r"started successfully on port (\d+)", log.read())
        if found:
            port = found.group(1)
            break
        time.sleep(0.1)
    assert port, "chromedriver did not start"
    base = f"http://127.0.0.1:{port}/session"
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={folder}"]
    session = ask(base, {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments},
                                                          "goog:loggingPrefs": {"browser": "ALL"}}}})["sessionId"]
    page = f"{base}/{session}"
    ask(f"{page}/url", {"url": f"http://127.0.0.1:{sys.argv[1]}/"})

    def run(script):
        return ask(f"{page}/execute/sync", {"script": script, "args": []})

    def wait(script, what):
        for _ in range(600):
            value = run(f"return {script}")
            if value:
                return value
            time.sleep(0.1)
        raise SystemExit(f"the page never showed {what}: " + run("return document.body.innerText"))

    wait("document.querySelectorAll('#tier option').length >= 5", "the tiers")
    wait("Number(document.body.dataset.points) >= 3", "live points")
    wait("document.querySelector('#c-kv polyline')", "a chart")
    run("document.getElementById('prompt').value = 'What is the capital of France?';"
        "document.getElementById('tier').value = 'chatbot'; document.getElementById('go').click();")
    promise = wait("document.getElementById('promise').textContent", "the promise line")
    text = run("return document.getElementById('out').textContent")
    assert "Paris" in text, text
    assert re.search(r"guaranteed: first token after \d+ ms \([\d.]+x an idle machine\), then [\d.]+ ms a piece; promise (kept|missed)",
                     promise), promise
    wait("document.getElementById('met').textContent.includes('%')", "the share of kept promises")
    severe = [entry for entry in ask(f"{page}/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"
              and "favicon" not in entry["message"]]
    assert not severe, severe
    print("dashboard ok:", promise)
finally:
    if session:
        try:
            ask(f"{base}/{session}", method="DELETE")
        except OSError:
            pass
    process.terminate()
    process.wait()
    log.close()
    shutil.rmtree(folder, ignore_errors=True)
