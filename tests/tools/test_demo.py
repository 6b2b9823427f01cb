"""The page of `make demo`: its answers are the tutorials' own, no file of the machine is read through it, a browser."""

import http.client
import importlib.util
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from data import StudyError
from tests.processes import free_port
from tests.weights import publish
from tutorials import char_rnn, cifar10, language_model, seq2seq, text_sentiment, transfer_learning, translation
from tutorials.common import checkpoint
from tutorials.common.options import deciding
from tutorials.text import generation
from tutorials.text.ngrams import Ngrams
from tutorials.text.vocabulary import Vocabulary, Words
from tutorials.tools import demo, local_page
from tutorials.vision import models
from tutorials.vision.small_convnet import PRESET, SMALL, SmallNet

ROOT = Path(__file__).parents[2]
TABS = {tab.target: tab for tab in demo.TABS}
TEXTS = {
    "names": "Satoshi",
    "sentiment": "Stocks fell again",
    "seq2seq": "Je suis fatigué.",
    "translation": "Ein Hund.",
}
SECRET = "secret of this machine"
PROXIES = {"ALL_PROXY": "socks5://127.0.0.1:1080", "http_proxy": "http://[::1", "HTTPS_Proxy": "nonsense"}
HANDLES = 128  # of files and connections that the page's process may open


def plant(runs: Path) -> None:
    """Untrained nets of all tutorials, as their runs save them."""
    torch.manual_seed(0)
    names = char_rnn.NamesOptions(cell="gru", hidden_size=8, embed_dim=8)
    sentiment = text_sentiment.TextOptions(embed_dim=4, idf=True, ngrams=2)
    french, english = Vocabulary(["je", "suis", "fatigue"]), Vocabulary(["i", "m", "tired"])
    pairs = seq2seq.Seq2SeqOptions(hidden_size=8, beam=3)
    german, target = Words.build(["Ein Hund."]), Words.build(["A dog."])
    captions = translation.TranslationOptions(d_model=16, heads=2, layers=1, dim_feedforward=16)
    writer, words = (
        language_model.LanguageModelOptions(d_model=16, dim_feedforward=16, heads=2),
        ["<unk>", "the", "river", "flows"],
    )
    ngrams = Ngrams(["<unk>", "stocks", "fell"], 2, 64)
    photos = {"model": SMALL, "classes": ["ants", "bees"], "preset": vars(PRESET), "way": "frozen"}
    nets = {
        "cifar10": (cifar10.Net(), cifar10.Cifar10Options(), {"classes": list("abcdefghij")}),
        "transfer": (SmallNet(2), transfer_learning.TransferOptions(), photos),
        "names": (char_rnn.CharRNN(names, 3), names, {"classes": ["Greek", "Irish", "Czech"]}),
        "sentiment": (text_sentiment.TextClassificationModel(ngrams.size, 2, vars(sentiment)), sentiment,
                      {"classes": ["World", "Sports"], **ngrams.about()}),
        "seq2seq": (seq2seq.Seq2Seq(len(french), len(english), pairs), pairs,
                    {"languages": [french.to_json(), english.to_json()], "limit": 6}),
        "translation": (translation.Translation(len(german), len(target), captions), captions,
                        {"languages": [german.to_json(), target.to_json()], "limit": 6}),
        "language-model": (language_model.LanguageModel(len(words), writer), writer, {"words": words}),
    }  # fmt: skip
    for target, (net, options, about) in nets.items():
        about |= {"tutorial": target, "options": deciding(options)}
        path = runs / f"{target}-tiny-study-seed0" / "best.safetensors"
        checkpoint.save(path, {**net.state_dict(), "about": about})


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with runs, a photograph, and a file that is none of the page's business."""
    folder = tmp_path_factory.mktemp("place")
    plant(folder / "runs")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    (folder / "secret.txt").write_text(SECRET)
    return folder


@pytest.fixture
def inside(place, monkeypatch) -> Path:
    monkeypatch.chdir(place)
    return place


def ask(target: str, given: str | Path, *settings) -> demo.Answer:
    tab = TABS[target]
    return tab.answer(tab.check(given), tab.find(target), *settings)


def told(printed: str) -> list[tuple[str, str]]:
    return re.findall(r"^ +([\d.]+%)  (.+)$", printed, re.M)


# What the nets answer


@pytest.mark.parametrize("target", ["cifar10", "transfer", "names", "sentiment"])
def test_probabilities_are_those_that_make_predict_prints(inside, capsys, target):
    command = {"cifar10": cifar10.classify, "transfer": transfer_learning.classify, "names": char_rnn.predict_name,
               "sentiment": text_sentiment.classify}[target]  # fmt: skip
    given = TEXTS.get(target, Path("photo.png"))
    command(given, None)
    printed = told(capsys.readouterr().out)
    shares, figure, _ = ask(target, given)
    best = sorted(shares.items(), key=lambda pair: -pair[1])[: len(printed)]
    assert printed and printed == [(f"{share:.1%}", name) for name, share in best]
    assert figure.axes and sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("target", ["seq2seq", "translation"])
def test_translations_are_those_that_make_translate_prints(inside, capsys, monkeypatch, target):
    module = {"seq2seq": seq2seq, "translation": translation}[target]
    monkeypatch.setattr(module.report, "show_attention", lambda *_: None)
    beam = checkpoint.load_best(TABS[target].find(target), target)[1]["options"]["beam"]
    monkeypatch.setattr(sys, "argv", [target, "--text", TEXTS[target], "--beam", str(beam)])
    module.main()
    said, figure, _ = ask(target, TEXTS[target])
    assert said == capsys.readouterr().out.splitlines()[-1]
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(rows) == len(said.split()) + 1 or target == "translation"  # of the very translation, and its end


def test_texts_go_on_as_make_generate_prints(inside, capsys):
    options = language_model.LanguageModelOptions(text="the river flows xyzzy")
    generation.write_on(options, language_model.load_net)
    said, figure, note = ask("language-model", options.text, options.temperature, options.seed)
    assert said in capsys.readouterr().out.splitlines() and "xyzzy" in note and figure.axes


def test_imagenet_models_are_those_whose_weights_are_there(inside, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    assert not demo.present()
    file = tmp_path / models.weight_file("resnet18").path
    file.parent.mkdir()
    torch.save(models.build("resnet18").state_dict(), file)
    publish(monkeypatch, file)
    assert demo.present() == {"resnet18": file}
    shares, figure, _ = ask("pretrained", Path("photo.png"), "resnet18")
    assert len(shares) > 990 and figure.axes


def test_a_net_that_is_not_trained_is_told_with_its_target(inside, monkeypatch, tmp_path):
    assert "`runs/names-tiny-study-seed0` answers" in TABS["names"].status().replace(os.sep, "/")
    monkeypatch.chdir(tmp_path)
    assert "No net yet" in TABS["names"].status() and "make names" in TABS["names"].status()
    with pytest.raises(StudyError, match="make names"):
        ask("names", "Satoshi")
    plant(tmp_path / "runs")
    (tmp_path / "runs/study").mkdir()
    (tmp_path / "runs/names-tiny-study-seed0").rename(tmp_path / "runs/study/names")  # as make study leaves it
    assert "generated data" in TABS["names"].status() and ask("names", "Satoshi")[0]


# What is refused


def test_too_much_is_refused_in_words(inside):
    for target, given, message in (
        ("names", "x" * 41, "41 characters, more than 40"), ("names", "", "nothing to answer"),
        ("cifar10", None, "Give a picture"), ("cifar10", inside / "secret.txt", "not a picture that can be read"),
        ("transfer", inside / "secret.txt", "not a picture that can be read"),
    ):  # fmt: skip
        with pytest.raises(StudyError, match=message):
            ask(target, given)


def test_a_refused_picture_is_called_by_its_name_alone(inside):
    page = SimpleNamespace(Error=lambda text, **_: RuntimeError(text))
    with pytest.raises(RuntimeError, match=r"^secret\.txt: not a picture"):
        demo.ask(page, TABS["cifar10"], str(inside / "secret.txt"))


def test_pictures_to_try_are_those_that_the_net_knows(inside, monkeypatch, tmp_path):
    monkeypatch.setenv("STUDY_DATA", str(tmp_path))
    for name in ("ants", "bees"):
        (tmp_path / "hymenoptera_data" / "val" / name).mkdir(parents=True)
        Image.new("RGB", (300, 200), "red").save(tmp_path / "hymenoptera_data" / "val" / name / "1.jpg")
    assert {picture.size for picture in TABS["cifar10"].pictures()} == {(32, 32)}
    assert max(max(picture.size) for picture in TABS["transfer"].pictures()) <= 64  # its net knows the twin's
    assert TABS["pretrained"].pictures()[0].size == (64, 64)  # there are no photographs
    monkeypatch.setattr(demo.Tab, "knows_twin", lambda tab: False)
    assert [picture.size for picture in TABS["transfer"].pictures()] == [(300, 200)] * 2
    paths = demo.save_pictures([Image.new("RGB", (32, 16))])
    assert Image.open(paths[0]).size == (512, 256)


def test_only_uploaded_files_are_looked_at(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert local_page.uploaded(SimpleNamespace(path=str(tmp_path / "a.png"))) and not local_page.uploaded(None)
    for path in ("/etc/passwd", f"{tmp_path}/../a.png", "pyproject.toml", f"{tmp_path}x/a.png"):
        with pytest.raises(StudyError, match="uploaded"):
            local_page.uploaded(SimpleNamespace(path=path))


@pytest.fixture
def handlers():
    """Gives back the signals that serve() takes, and the log that it ends."""
    before = {number: signal.getsignal(number) for number in local_page.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    logging.disable(logging.NOTSET)


def test_what_a_user_can_mend_ends_in_one_line(capsys, handlers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit, match="1"):
            demo.main(["--port", str(port)])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"make demo PORT={port + 1}" in said
    for wrong in (["--port", "0"], ["--port", "x"], ["--share"]):
        with pytest.raises(SystemExit, match="2"):
            demo.main(wrong)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", {**os.environ, "GRADIO_SHARE": "True", **PROXIES, "no_proxy": "elsewhere"})
        patch.setattr(tempfile, "tempdir", None)
        patch.setitem(sys.modules, "gradio", None)
        with pytest.raises(StudyError, match="make setup"):
            local_page.load_gradio(Path("/nowhere"))
        assert "GRADIO_SHARE" not in os.environ and os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
        assert {name: value for name, value in os.environ.items() if "proxy" in name.lower()} == {"NO_PROXY": "*"}


def test_an_address_that_is_not_this_machines_is_told_so(capsys, handlers):
    with pytest.raises(SystemExit, match="1"):
        demo.main(["--host", "192.0.2.1", "--port", str(free_port())])
    assert "Give an address of this machine" in capsys.readouterr().err


def test_other_machines_are_let_in_with_a_warning_only(capsys, monkeypatch, handlers):
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(local_page, "load_gradio", stop)
    assert demo.main(["--host", "0.0.0.0", "--port", str(free_port())]) == 130
    assert "without a password" in capsys.readouterr().err


# The page as it is served


@pytest.fixture(scope="module")
def port(place):
    """Where the page is served; at its end Ctrl-C stops it, and nothing that was uploaded stays."""
    if not importlib.util.find_spec("gradio"):
        pytest.skip("needs gradio: make setup")
    if sys.platform == "win32":
        pytest.skip("Windows has neither limits of open files nor signals to send")
    number, temporary = free_port(), place / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = os.environ | PROXIES
    environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "GRADIO_ALLOWED_PATHS": "/"}
    few = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({HANDLES}, {HANDLES}))"
    serve = f"{few}; import sys; from tutorials.tools import demo; sys.exit(demo.main(['--port', '{number}']))"
    command = [sys.executable, "-c", serve]
    with (place / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(1800):  # gradio is slow to load on a busy machine
            assert server.poll() is None, (place / "log").read_text()
            if "answer on" in (place / "log").read_text():
                break
            time.sleep(0.1)
        yield number
        assert list(temporary.glob("study-demo-*"))
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130 and (place / "log").read_text().endswith("what was uploaded is deleted\n")
        assert not list(temporary.iterdir())
    finally:
        server.kill()


def fetch(port: int, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """A request as it stands: no client cleans its path."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode(errors="replace")


def call(port: int, number: int, data: list) -> dict:
    """What the page gets when it sends `data` to one of its events, crafted or not."""
    session = f"session{time.monotonic_ns()}"
    body = json.dumps({"data": data, "fn_index": number, "session_hash": session}).encode()
    assert fetch(port, "/gradio_api/queue/join", body, **{"Content-Type": "application/json"})[0] == 200
    stream = fetch(port, f"/gradio_api/queue/data?session_hash={session}")[1]
    return next(json.loads(line[5:]) for line in stream.splitlines() if "process_completed" in line)


def events(port: int) -> dict[str, int]:
    """The number of the first event that takes each kind of component, and of that of names."""
    page = json.loads(fetch(port, "/config")[1])
    kinds = {part["id"]: part["type"] for part in page["components"]}
    labels = {part["id"]: part["props"].get("label") for part in page["components"]}
    found = {}
    for event in page["dependencies"]:
        if event["inputs"]:
            found.setdefault(kinds[event["inputs"][0]], event["id"])
            found.setdefault(labels[event["inputs"][0]], event["id"])
    return found


def test_no_file_of_the_machine_can_be_fetched(port, place):
    secret, (uploads,) = place / "secret.txt", (place / "tmp").glob("study-demo-*")
    wanted = ["/etc/passwd", "//etc/passwd", str(secret), "secret.txt", "runs/names-tiny-study-seed0/best.safetensors",
              str(ROOT / "pyproject.toml"), f"{uploads}/../../secret.txt", f"{uploads}/%2e%2e/%2e%2e/secret.txt",
              f"{uploads}/..%2f..%2fsecret.txt", f"file://{secret}", f"http://127.0.0.1:{port}/config"]  # fmt: skip
    ways = ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/file/", "/gradio_api/proxy=", "/proxy=", "/static/",
            "/static/..", "/assets/", "/assets/../../../../../../../../../../..", "/svelte/",
            "/gradio_api/custom_component/")  # fmt: skip
    for way in ways:
        for path in wanted:
            status, answer = fetch(port, way + path)
            assert status in (400, 403, 404, 500), (way + path, status)
            assert SECRET not in answer and "root:" not in answer and "[project]" not in answer
    for path in (
        "/docs",
        "/openapi.json",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/monitoring",
        "/gradio_api/mcp/",
    ):
        assert fetch(port, path)[0] == 404, path
    assert fetch(port, "/gradio_api/run/ask", b"{}")[0] == fetch(port, "/gradio_api/component_server", b"{}")[0] == 404
    assert fetch(port, "/", Host="elsewhere.example")[0] == 403
    assert fetch(port, "/gradio_api/upload", b"x" * (12 * 2**20))[0] == 413
    chunks = {"Content-Length": "5", "Transfer-Encoding": "chunked"}
    assert fetch(port, "/gradio_api/upload", b"5\r\nxxxxx\r\n0\r\n\r\n", **chunks)[0] == 413
    assert fetch(port, "/gradio_api/file=%00")[0] == 404
    own = f"http://127.0.0.1:{port}"
    for origin, status in ((own, 200), ("https://elsewhere.example", 403), ("null", 403), (own + "0", 403)):
        assert fetch(port, "/", Origin=origin)[0] == status


def test_requests_that_name_other_files_are_refused(port, place):
    found, photo, mark = events(port), str(place / "photo.png"), {"_type": "gradio.FileData"}
    for path in (photo, "/etc/passwd", f"http://127.0.0.1:{port}/favicon.ico"):
        for sent in ({"path": path}, {"path": path, "meta": mark}, {"path": path, "url": path, "meta": mark}):
            drawing = {"background": None, "layers": [], "composite": sent, "id": None}
            for kind, data in (("image", sent), ("imageeditor", drawing)):
                answer = call(port, found[kind], [data])
                assert not answer["success"] and "data" not in answer["output"], (kind, sent)
                if path.startswith("http") and "meta" in sent:
                    assert "not fetched" in answer["output"]["error"]
    form = b'--x\r\nContent-Disposition: form-data; name="files"; filename="photo.png"\r\n\r\n%b\r\n--x--\r\n'
    body = form % Path(photo).read_bytes()
    status, paths = fetch(port, "/gradio_api/upload", body, **{"Content-Type": "multipart/form-data; boundary=x"})
    assert status == 200
    answer = call(port, found["image"], [{"path": json.loads(paths)[0], "meta": mark}])
    assert answer["success"] and answer["output"]["data"][1]["value"]["plot"].startswith("data:image/")


def test_the_page_answers_and_its_messages_are_text(port):
    found = events(port)
    answer = call(port, found["A name"], ["Satoshi"])
    assert answer["output"]["data"][0]["label"] in ("Greek", "Irish", "Czech")
    assert "41 characters" in call(port, found["A name"], ["x" * 41])["output"]["error"]
    assert "&lt;漢&gt;" in call(port, found["A name"], ["<漢>"])["output"]["error"]


def test_examples_are_answered_at_a_click(port):
    page = json.loads(fetch(port, "/config")[1])
    shown = {part["id"]: part["props"]["samples"] for part in page["components"] if part["type"] == "dataset"}
    clicked = {event["inputs"][0]: event["id"] for event in page["dependencies"] if event["inputs"]}
    assert len(shown) >= len(TABS) - 1 and all(len(samples) >= 3 for samples in shown.values())
    picture, name = (next(number for number, samples in shown.items() if test(samples[1][0])) for test in (
        lambda one: isinstance(one, dict), lambda one: one == demo.NAMES[1]))  # fmt: skip
    given, said, *_ = call(port, clicked[name], [1])["output"]["data"]
    assert given == demo.NAMES[1] and said["label"] in ("Greek", "Irish", "Czech")
    given, said, *_ = call(port, clicked[picture], [1])["output"]["data"]
    assert said["label"] in "abcdefghij" and fetch(port, f"/gradio_api/file={given['path']}")[0] == 200


def test_more_connections_than_file_handles_are_closed_without_a_word(port, place):
    before = (place / "log").stat().st_size
    idle = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2 * HANDLES)]
    assert any(not one.recv(1) for one in idle[-5:])  # closed by the page
    for one in idle:
        one.close()
    for _ in range(100):
        with suppress(OSError):
            if fetch(port, "/config")[0] == 200:
                break
        time.sleep(0.1)
    assert fetch(port, "/config")[0] == 200 and (place / "log").stat().st_size - before < 2000


def test_a_log_does_not_repeat_itself():
    once, record = local_page.OnceAMinute(), logging.LogRecord("asyncio", logging.ERROR, "", 0, "no handle", (), None)
    assert [once.filter(record) for _ in range(3)] == [True, False, False]
    once.passed["no handle"] -= 61
    assert once.filter(record)


@pytest.mark.browser
def test_a_name_a_sentence_a_picture_and_a_drawing_in_a_browser(chromium, port, place):
    page, complaints = chromium.new_page(viewport={"width": 1280, "height": 800}), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if f"//127.0.0.1:{port}/" not in request.url
            and not request.url.startswith(("data:", "blob:")) else None)  # fmt: skip
    page.goto(f"http://127.0.0.1:{port}/")
    for title, given, answer in (
        ("CIFAR-10", "photo.png", r"\d+%"), ("Names", "Satoshi", "Greek|Irish|Czech"),
        ("News", TEXTS["sentiment"], "World|Sports"), ("French", TEXTS["seq2seq"], None),
    ):  # fmt: skip
        page.get_by_role("tab", name=title, exact=True).click()
        panel = page.get_by_role("tabpanel").locator("visible=true").first
        if given == "photo.png":
            panel.locator("input[type=file]").first.set_input_files(place / given)
            panel.locator("img[src*='file=']").first.wait_for()
        else:
            panel.get_by_role("textbox").first.fill(given)
        if title == "News":
            panel.get_by_role("textbox").first.press("Enter")
        else:
            panel.get_by_role("button", name="Ask the net").locator("visible=true").click()
        picture = panel.locator("img[src^='data:image']").locator("visible=true").first
        picture.wait_for()
        assert picture.evaluate("image => image.naturalWidth") > 200
        box = picture.bounding_box()
        assert box["width"] > 200 and box["y"] + box["height"] < 800
        assert answer is None or re.search(answer, panel.inner_text())
    page.get_by_role("tab", name="CIFAR-10", exact=True).click()
    picture = page.locator("img[src^='data:image']").locator("visible=true").first
    before = picture.get_attribute("src")
    page.get_by_role("tab", name="Draw").locator("visible=true").click()
    page.get_by_role("button", name="Brush").locator("visible=true").click()
    place = page.locator("canvas").locator("visible=true").first.bounding_box()
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2 + 60, place["y"] + place["height"] / 2 + 40, steps=10)
    page.mouse.up()
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Ask the net").locator("visible=true").click()
    page.wait_for_function("before => ![...document.images].some(image => image.src === before)", arg=before)
    picture.wait_for()
    assert not complaints
