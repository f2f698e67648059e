from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Audio, Model, Output, Request, Turn, Waveform
from audiometry.models.adapters import process, process_guard, process_model, process_program
from audiometry.models.adapters.process_model import ProcessModel

PROGRAM = '''
"""A program that does what its request's text says."""
import json, os, signal, sys, time

ABILITIES = ["transcribe", "respond", "detect", "classify", "align", "synthesize", "embed", "watermark"]


def say(message):
    print(json.dumps(message), flush=True)


def act(request):
    what, _, rest = (request.get("text") or "").partition(" ")
    answer = {"id": request["id"], "text": what}
    if what == "echo":
        answer["text"] = json.dumps(request)
    elif what == "json":
        answer = {"id": request["id"], **json.loads(rest)}
    elif what == "line":
        return print(rest, flush=True)
    elif what == "exit":
        print("going down", file=sys.stderr, flush=True)
        os._exit(int(rest))
    elif what == "signal":
        os.kill(os.getpid(), int(rest))
    elif what == "die-once":
        if not os.path.exists(rest):
            open(rest, "w").close()
            os._exit(1)
    elif what == "hang":
        time.sleep(600)
    elif what == "chatter":
        while True:
            print("still at it", file=sys.stderr, flush=True)
    elif what == "twice":
        say(answer)
    elif what == "noise":
        print("something loading\\n" * int(rest), flush=True)
    elif what == "close":
        os.close(1)
        time.sleep(600)
    elif what == "allocate":
        try:
            block = bytearray(int(rest) * 2**20)
            answer["text"] = "got it"
        except MemoryError:
            answer = {"id": request["id"], "error": "out of memory"}
    elif what == "environment":
        answer["text"] = json.dumps(dict(os.environ))
    elif what == "pids":
        child = os.fork()
        if child == 0:
            os.setsid()
            time.sleep(600)
        answer["text"] = json.dumps([os.getpid(), child])
    elif what == "slow":
        time.sleep(float(rest))
    elif what == "endless":
        while True:
            print("{" * 100_000, end="", flush=True)
    elif what == "big":
        sys.stderr.write("x" * 300_000)
    say(answer)


hello = {"name": "faulty", "version": "1", "abilities": ABILITIES, "deterministic": True}
say(json.loads(os.environ["HELLO"]) if "HELLO" in os.environ else hello)
held = []
for line in sys.stdin:
    request = json.loads(line)
    if "--backwards" in sys.argv:
        held.append(request)
        if request["more"]:
            continue
        for one in reversed(held):
            act(one)
        held = []
    else:
        act(request)
'''

NOISE = Waveform(np.random.default_rng(0).normal(0.0, 0.1, 1600).astype(np.float32), 16_000)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "faulty.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


@pytest.fixture
def make(program: Path) -> Iterator[Callable[..., ProcessModel]]:
    made: list[ProcessModel] = []

    def start(options: str = "", **settings: Any) -> ProcessModel:
        command = f"{sys.executable} {program} {options}"
        made.append(process.process(command=command, **{"timeout": 20.0, **settings}))
        return made[-1]

    yield start
    for one in made:
        one.close()


def say(*texts: str, ability: Any = "transcribe") -> list[Request]:
    return [Request(ability, text=text) for text in texts]


def told(outputs: list[Output]) -> list[tuple[str, str | None]]:
    return [(output.status, output.text if output.error is None else output.error) for output in outputs]


def test_it_is_registered_with_every_ability_and_asked_for_a_command() -> None:
    entry = MODELS.get("process")
    assert {"transcribe", "embed", "watermark"} <= entry.abilities
    assert entry.waveforms
    with pytest.raises(SettingError, match="needs the setting 'command'"):
        MODELS.check(Spec("process"))


def test_a_program_is_a_model(make: Callable[..., ProcessModel]) -> None:
    model = make()
    assert isinstance(model, Model)
    assert model.deterministic
    assert "rate" not in model.abilities
    outputs = model.generate(say("one", "two", "three"))
    assert [output.text for output in outputs] == ["one", "two", "three"]
    assert all(0.0 < output.timings["total"] < 20.0 for output in outputs)
    assert model.name.startswith("process:command=")


def test_sound_travels_as_wav_files_that_are_removed(make: Callable[..., ProcessModel], tmp_path: Path) -> None:
    model = make(rate=8000)
    spoken = tmp_path / "turn.wav"
    spoken.write_bytes(encode_wav(NOISE))
    request = Request(
        "respond", text="echo", instruction="listen", language="en", seed=2**62 + 5,
        turns=(Turn("user", audio=Audio(str(spoken))), Turn("assistant", "yes")),
        waveforms={"input": NOISE, "voice": NOISE},
    )  # fmt: skip
    (output,) = model.generate([request])
    heard = json.loads(output.text or "")
    folder = Path(heard["folder"])
    assert (heard["ability"], heard["instruction"], heard["language"]) == ("respond", "listen", "en")
    assert heard["seed"] == 5
    assert heard["more"] == 0
    assert set(heard["audios"]) == {"input", "voice"}
    assert [turn["role"] for turn in heard["turns"]] == ["user", "assistant"]
    paths = [Path(path) for path in [*heard["audios"].values(), heard["turns"][0]["audio"]]]
    assert all(path.parent == folder and not path.exists() for path in paths)
    assert folder.is_dir()
    model.close()
    assert not folder.exists()


def test_sound_is_whole_while_the_program_hears_it(tmp_path: Path) -> None:
    script = tmp_path / "measure.py"
    script.write_text(
        "import json, sys, wave\n"
        "print(json.dumps({'name': 'm', 'version': '1', 'abilities': ['embed']}), flush=True)\n"
        "for line in sys.stdin:\n"
        "    r = json.loads(line)\n"
        "    with wave.open(r['audios']['input']) as w:\n"
        "        facts = [w.getframerate(), w.getnframes(), w.getnchannels(), w.getsampwidth()]\n"
        "    print(json.dumps({'id': r['id'], 'embedding': facts}), flush=True)\n"
    )
    request = Request("embed", waveforms={"input": NOISE})
    for rate, facts in ((None, [16_000, 1600, 1, 2]), (8000, [8000, 800, 1, 2])):
        model = process.process(command=f"{sys.executable} {script}", rate=rate)
        (output,) = model.generate([request])
        model.close()
        assert output.embedding is not None
        assert output.embedding.dtype == np.float32
        assert output.embedding.tolist() == facts
        assert not model.deterministic


def test_sound_that_the_program_made_is_read_and_removed(make: Callable[..., ProcessModel], tmp_path: Path) -> None:
    model = make()
    made = tmp_path / "made.wav"
    made.write_bytes(encode_wav(NOISE))
    missing, outside = model.generate(
        say('json {"audio": "none.wav"}', f"json {json.dumps({'audio': str(made)})}", ability="synthesize")
    )
    assert missing.status == "error"
    assert "none.wav: cannot be opened" in (missing.error or "")
    assert outside.audio is not None
    assert outside.audio.rate == 16_000
    assert outside.audio.seconds == pytest.approx(0.1)
    assert made.exists()


@pytest.mark.parametrize(
    ("ability", "answer", "wanted"),
    [
        ("transcribe", {"text": "  "}, Output(status="empty", text="")),
        ("transcribe", {"text": "yes ", "usage": {"output_tokens": 2}}, Output(text="yes", usage={"output_tokens": 2})),
        ("detect", {"score": -1.5}, Output(score=-1.5)),
        ("classify", {"labels": {"dog": 1, "cat": 0.0}}, Output(labels={"dog": 1.0, "cat": 0.0})),
        ("respond", {"refused": True, "text": "I will not"}, Output(status="refused", text="I will not")),
        ("detect", {"error": "too short"}, Output(status="error", error="too short")),
        ("detect", {"error": ""}, Output(status="error", error="the program gave no reason")),
    ],
)  # fmt: skip
def test_answers(make: Callable[..., ProcessModel], ability: Any, answer: dict[str, Any], wanted: Output) -> None:
    (output,) = make().generate(say(f"json {json.dumps({**answer, 'timings': {'total': 1.0}})}", ability=ability))
    assert output.timings == {"total": 1.0}
    for name in ("status", "text", "score", "labels", "error", "usage"):
        assert getattr(output, name) == getattr(wanted, name)


def test_segments(make: Callable[..., ProcessModel]) -> None:
    spans = [{"start": 0, "end": 0.5, "label": "a"}, {"start": 0.5, "end": 1.0, "label": "b", "score": 0.9}]
    (output,) = make().generate(say(f"json {json.dumps({'segments': spans})}", ability="align"))
    assert [(one.start, one.end, one.label, one.score) for one in output.segments] == [
        (0.0, 0.5, "a", None),
        (0.5, 1.0, "b", 0.9),
    ]


@pytest.mark.parametrize(
    ("ability", "answer", "error"),
    [
        ("transcribe", '{"txt": "a"}', "'txt' is unknown; did you mean 'text'?"),
        ("transcribe", '{"score": 1}', "transcribe needs 'text', and it holds score"),
        ("transcribe", "{}", "it holds nothing"),
        ("transcribe", '{"text": 1}', "'text' is not a text"),
        ("detect", '{"score": NaN}', "'score' is not a finite number"),
        ("detect", '{"score": true}', "'score' is not a finite number"),
        ("classify", '{"labels": {"a": "b"}}', "'labels' is not an object of finite numbers"),
        ("embed", '{"embedding": [1, Infinity]}', "'embedding' is not a list of finite numbers"),
        ("embed", '{"embedding": []}', "'embedding' is not a list of finite numbers"),
        ("align", '{"segments": [1]}', "'segments' is not a list of objects"),
        ("align", '{"segments": [{"start": 2, "end": 1, "label": "a"}]}', "'start' and 'end' in seconds, in order"),
        ("align", '{"segments": [{"from": 2}]}', "the key 'from' is unknown"),
        ("respond", '{"refused": 1}', "'refused' is neither true nor false"),
    ],
)
def test_a_malformed_answer_is_told_and_the_program_goes_on(
    make: Callable[..., ProcessModel], ability: Any, answer: str, error: str
) -> None:
    model = make()
    before, bad = model.generate([*say("pids"), *say(f"json {answer}", ability=ability)])
    (after,) = model.generate(say("pids"))
    assert bad.status == "error"
    assert error in (bad.error or "")
    assert json.loads(before.text or "")[0] == json.loads(after.text or "")[0]


FAULTS = [
    ("exit 3", "error", "the program ended with exit status 3; its last words: going down"),
    ("signal 11", "error", "the program was ended by SIGSEGV"),
    ("signal 9", "error", "the program was ended by SIGKILL"),
    ("hang", "timeout", "no answer within 1 s"),
    ("chatter", "timeout", "no answer within 1 s; its last words: still at it / still at it"),
    ("close", "error", "the program closed its standard output and did not end"),
    ('line {"id": 1', "error", "a line is broken JSON"),
    ("line {\"id\": \"1\"}", "error", "an answer has no 'id'"),
    ("line {\"id\": 99}", "error", "the program answered id 99, which nobody asked"),
    ("noise 101", "error", "101 lines on its standard output are no JSON objects, the last: 'something loading'"),
]  # fmt: skip


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("fault", "status", "error"), FAULTS)
def test_a_fault_costs_exactly_its_own_sample(
    make: Callable[..., ProcessModel],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    status: str,
    error: str,
    batch: int,
) -> None:
    monkeypatch.setattr(process_program, "END_SECONDS", 0.2)
    model = make(timeout=1.0 if status == "timeout" else 20.0, batch=batch)
    outputs = model.generate(say("one", fault, "two", "three"))
    assert told(outputs)[0] == ("ok", "one")
    assert told(outputs)[2:] == [("ok", "two"), ("ok", "three")]
    assert outputs[1].status == status
    assert error in (outputs[1].error or "")
    assert told(model.generate(say("four"))) == [("ok", "four")]


def test_a_program_that_was_killed_from_outside_costs_nothing(
    make: Callable[..., ProcessModel], tmp_path: Path
) -> None:
    model = make()
    (first,) = model.generate(say("pids"))
    own, _ = json.loads(first.text or "")
    psutil.Process(own).kill()
    assert told(model.generate(say("one", f"die-once {tmp_path / 'mark'}", "two"))) == [
        ("ok", "one"),
        ("ok", "die-once"),
        ("ok", "two"),
    ]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_second_answer_is_that_samples_error(make: Callable[..., ProcessModel], batch: int) -> None:
    outputs = make(batch=batch).generate(say("one", "twice", "slow 0.1"))
    assert told(outputs) == [("ok", "one"), ("error", "the program answered twice (id 2)"), ("ok", "slow")]


def test_an_answer_to_an_earlier_batch_starts_the_program_anew(make: Callable[..., ProcessModel]) -> None:
    model = make()
    assert told(model.generate(say("one"))) == [("ok", "one")]
    (output,) = model.generate(say('line {"id": 1, "text": "stale"}'))
    assert output.error == "the program answered id 1, which was answered before; 3 was asked"
    assert told(model.generate(say("two"))) == [("ok", "two")]


def test_answers_may_come_in_any_order(make: Callable[..., ProcessModel]) -> None:
    texts = [f"text-{n}" for n in range(7)]
    outputs = make("--backwards", batch=3).generate(say(*texts))
    assert [output.text for output in outputs] == texts


def test_a_program_that_is_slow_in_a_batch_has_the_time_of_all(make: Callable[..., ProcessModel]) -> None:
    outputs = make(timeout=1.5, batch=2).generate(say("slow 2.0", "one"))
    assert [output.status for output in outputs] == ["ok", "ok"]
    assert [output.status for output in make(timeout=1.5).generate(say("slow 2.0", "one"))] == ["timeout", "ok"]


def test_chatter_is_passed_over(make: Callable[..., ProcessModel]) -> None:
    assert told(make().generate(say("noise 99", "big", "big"))) == [("ok", "noise"), ("ok", "big"), ("ok", "big")]


def test_a_folder_that_went_with_its_program_costs_nothing(tmp_path: Path) -> None:
    script = tmp_path / "tidy.py"
    script.write_text(
        "import json, shutil, sys\n"
        "print(json.dumps({'name': 't', 'version': '1', 'abilities': ['rate']}), flush=True)\n"
        "for line in sys.stdin:\n"
        "    request = json.loads(line)\n"
        "    shutil.rmtree(request['folder'])\n"
        "    print(json.dumps({'id': request['id'], 'score': 2}), flush=True)\n"
    )
    model = process.process(command=f"{sys.executable} {script}")
    outputs = model.generate(say("one", ability="rate"))
    model.close()
    assert [(output.status, output.score) for output in outputs] == [("ok", 2.0)]


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    script = tmp_path / "once.py"
    script.write_text(
        "import json, sys\n"
        "print(json.dumps({'name': 'o', 'version': '1', 'abilities': ['rate']}), flush=True)\n"
        "request = json.loads(sys.stdin.readline())\n"
        "sys.stdout.write(json.dumps({'id': request['id'], 'score': 2}))\n"
    )
    model = process.process(command=f"{sys.executable} {script}")
    outputs = model.generate(say("one", "two", ability="rate"))
    model.close()
    assert [output.score for output in outputs] == [2.0, 2.0]


def test_a_program_that_reads_nothing(tmp_path: Path) -> None:
    script = tmp_path / "deaf.py"
    script.write_text(
        "import os, time\n"
        "os.close(0)\n"
        'os.write(1, b\'{"name": "d", "version": "1", "abilities": ["rate"]}\\n\')\n'
        "time.sleep(600)\n"
    )
    model = process.process(command=f"{sys.executable} {script}", timeout=0.3)
    (output,) = model.generate(say("one", ability="rate"))
    model.close()
    assert told([output]) == [("timeout", "no answer within 0.3 s")]


def test_a_guard_that_does_not_end_is_ended(make: Callable[..., ProcessModel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_guard, "KILL_SECONDS", 0.1)
    model = make()
    (output,) = model.generate(say("pids"))
    numbers = json.loads(output.text or "")
    assert model._program is not None
    os.kill(model._program._process.pid, signal.SIGSTOP)
    model._program.kill()
    assert wait_until_gone(*numbers)


def test_a_command_that_no_system_takes() -> None:
    before = psutil.Process().num_fds()
    with pytest.raises(process_program.ProgramError, match="the program cannot be started: embedded null byte"):
        process_program.Program(["sh", "\0"])
    assert psutil.Process().num_fds() == before


def test_a_long_request_and_a_long_line(make: Callable[..., ProcessModel], monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    long = "ä" * 300_000
    (output,) = model.generate([Request("transcribe", text="echo", instruction=long)])
    assert json.loads(output.text or "")["instruction"] == long
    monkeypatch.setattr(process_program, "MAX_LINE", 100_000)
    whole, endless = model.generate([Request("transcribe", text="echo", instruction=long), *say("one")])
    assert "a line is longer than" in (whole.error or "")
    assert told([endless]) == [("ok", "one")]
    (endless,) = model.generate(say("endless"))
    assert "a line is longer than" in (endless.error or "")


def test_what_it_cannot_do_is_not_asked(make: Callable[..., ProcessModel]) -> None:
    outputs = make().generate([Request("rate", text="exit 1"), *say("one")])
    assert (outputs[0].error or "").startswith("faulty cannot rate; it can: align, classify,")
    assert told(outputs)[1] == ("ok", "one")


def test_a_turn_that_cannot_be_decoded_costs_only_itself(make: Callable[..., ProcessModel]) -> None:
    bad = Request("respond", text="one", turns=(Turn("user", audio=Audio("/nowhere.wav")),))
    outputs = make(batch=2).generate([bad, *say("two")])
    assert told(outputs) == [("error", "/nowhere.wav: cannot be opened: No such file or directory"), ("ok", "two")]


def alive(number: int) -> bool:
    return psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE


def wait_until_gone(*numbers: int) -> bool:
    end = time.monotonic() + 10.0
    while any(alive(number) for number in numbers) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(alive(number) for number in numbers)


@pytest.mark.parametrize("how", ["close", "fault"])
def test_no_process_survives(make: Callable[..., ProcessModel], how: str) -> None:
    model = make(timeout=2.0 if how == "fault" else 20.0)
    (output,) = model.generate(say("pids"))
    numbers = json.loads(output.text or "")
    assert all(alive(number) for number in numbers)
    if how == "close":
        model.close()
        model.close()
    else:
        model.generate(say("hang"))
    assert wait_until_gone(*numbers)
    mine = psutil.Process().children(recursive=True)
    assert not [child for child in mine if child.status() == psutil.STATUS_ZOMBIE]


ENDS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "children first": "[os.kill(int(p), signal.SIGKILL) for p in open('/proc/thread-self/children').read().split()]; "
    "os.kill(os.getpid(), signal.SIGKILL)",
    "forgotten": "os._exit(0)",
}


@pytest.mark.parametrize("how", sorted(ENDS))
def test_the_program_dies_with_its_worker(program: Path, how: str) -> None:
    script = (
        "import os, signal, sys\n"
        "from audiometry.benchmark.types import Request\n"
        "from audiometry.models.adapters.process import process\n"
        "model = process(command=sys.argv[1])\n"
        "print(model.generate([Request('transcribe', text='pids')])[0].text, model._program.folder, flush=True)\n"
        + ENDS[how]
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, f"{sys.executable} {program}"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == (0 if how == "forgotten" else -9)
    numbers, _, folder = ran.stdout.strip().rpartition(" ")
    assert wait_until_gone(*json.loads(numbers))
    end = time.monotonic() + 5.0
    while Path(folder).exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not Path(folder).exists()


def test_the_memory_limit_holds(make: Callable[..., ProcessModel]) -> None:
    assert told(make(memory=0.25).generate(say("allocate 400", "allocate 50"))) == [
        ("error", "out of memory"),
        ("ok", "got it"),
    ]
    assert told(make().generate(say("allocate 400"))) == [("ok", "got it")]


def test_secrets_are_not_passed_on(make: Callable[..., ProcessModel], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "AUDIOMETRY_STORE", "PYTHONPATH", "RAY_ADDRESS", "MY_COLOUR"):
        monkeypatch.setenv(name, "value")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:mine@proxy:80")
    (output,) = make(environment="HF_TOKEN NOT_SET").generate(say("environment"))
    seen = json.loads(output.text or "")
    assert {"HF_TOKEN", "MY_COLOUR", "PATH"} <= set(seen)
    assert not {"OPENAI_API_KEY", "AUDIOMETRY_STORE", "PYTHONPATH", "RAY_ADDRESS", "HTTPS_PROXY"} & set(seen)


@pytest.mark.parametrize(
    ("hello", "error"),
    [
        ({"version": "1", "abilities": ["rate"]}, "it needs 'name', a text"),
        ({"name": "a", "version": 1, "abilities": ["rate"]}, "it needs 'version', a text"),
        ({"name": "a", "version": "1"}, "it needs 'abilities', a list"),
        ({"name": "a", "version": "1", "abilities": ["hear"]}, "the ability 'hear' is unknown"),
        ({"name": "a", "version": "1", "abilities": [[]]}, "the ability [] is unknown"),
        ({"name": "a", "version": "1", "abilities": ["rate"], "deterministic": 1}, "'deterministic' is neither"),
        ({"name": "a", "version": "1", "ability": ["rate"]}, "'ability' is unknown; did you mean 'abilities'?"),
    ],
)
def test_a_bad_hello(
    make: Callable[..., ProcessModel], monkeypatch: pytest.MonkeyPatch, hello: dict[str, Any], error: str
) -> None:
    monkeypatch.setenv("HELLO", json.dumps(hello))
    with pytest.raises(UserError, match="did not start: its first line is no hello: ") as raised:
        make()
    assert error in str(raised.value)


def test_a_program_that_does_not_start(make: Callable[..., ProcessModel], tmp_path: Path) -> None:
    script = tmp_path / "broken.sh"
    script.write_text("#!/bin/sh\necho no weights here >&2\nexit 4\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(UserError, match="ended with exit status 4; its last words: no weights here; try its command"):
        process.process(command=str(script))
    script.write_text("#!/nowhere/sh\n")
    with pytest.raises(UserError, match=r"exit status 127; its last words: .*cannot be started: No such file"):
        process.process(command=str(script))
    script.write_text("#!/bin/sh\necho thinking\nsleep 60\n")
    with pytest.raises(UserError, match=r"no hello within 2 s; its last words: 'thinking'"):
        process.process(command=str(script), start_timeout=2.0)


def test_a_program_that_starts_no_more_is_given_up(
    make: Callable[..., ProcessModel], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make()
    program.write_text("raise SystemExit('broken now')", encoding="utf-8")
    outputs = model.generate(say("exit 3", "one", "two", "three"))
    assert all("started again, the program ended with exit status 1" in (output.error or "") for output in outputs)
    assert "given up after 3 failed starts" in (outputs[3].error or "")
    assert [process_model.STARTS, model._bad_starts] == [3, 3]


def test_a_program_that_comes_back_as_another_is_refused(make: Callable[..., ProcessModel], program: Path) -> None:
    model = make()
    program.write_text(PROGRAM.replace('"version": "1"', '"version": "2"'), encoding="utf-8")
    bad, _ = model.generate(say("exit 3", "one"))
    assert "it says that it is faulty 2" in (bad.error or "")


def test_the_fingerprint_covers_program_command_and_hello(
    make: Callable[..., ProcessModel], program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make().fingerprint
    assert len(base) == 64
    assert make(timeout=7.0, batch=3, label="x").fingerprint == base
    assert make("--fast").fingerprint != base
    assert make(rate=8000).fingerprint != base
    weights = tmp_path / "a" / "w.bin"
    weights.parent.mkdir()
    weights.write_bytes(b"1")
    first = make(f"--weights={weights}").fingerprint
    moved = weights.rename(tmp_path / "w.bin")
    assert make(f"--weights={moved}").fingerprint == first
    moved.write_bytes(b"23")
    assert make(f"--weights={moved}").fingerprint != first
    monkeypatch.setenv("HELLO", json.dumps({"name": "faulty", "version": "2", "abilities": ["rate"]}))
    assert make().fingerprint != base
    monkeypatch.delenv("HELLO")
    program.write_text(PROGRAM + "\n", encoding="utf-8")
    assert make().fingerprint != base


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"command": ""}, "is empty; give a program"),
        ({"command": "'open"}, "close the quotes"),
        ({"command": "/nowhere/asr --fast"}, "'/nowhere/asr' is no program"),
        ({"command": "sh", "rate": 3}, "3 Hz is outside"),
        ({"command": "sh", "batch": 0}, "0 is less than 1"),
        ({"command": "sh", "timeout": 0.0}, "0 s is not above 0"),
        ({"command": "sh", "start_timeout": float("nan")}, "nan s is not above 0"),
        ({"command": "sh", "memory": -1.0}, "-1 GiB is not possible"),
    ],
)
def test_settings_are_checked_before_anything_starts(settings: dict[str, Any], error: str) -> None:
    with pytest.raises(SettingError) as raised:
        process.check(**settings)
    assert error in str(raised.value)


def test_memory_can_be_limited_on_linux_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.sys, "platform", "darwin")
    with pytest.raises(SettingError, match="only Linux"):
        process.check(command="sh", memory=1.0)
    process.check(command="sh")


def test_words_are_split_as_a_shell_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    words = process.split_command("sh -c 'two words' ~/weights a\\ b")
    assert Path(words[0]).name == "sh"
    assert os.access(words[0], os.X_OK)
    assert words[1:] == ["-c", "two words", f"{tmp_path}/weights", "a b"]
