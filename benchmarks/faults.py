"""Can what a command that dies leaves be mistaken for a result?

    python -m benchmarks.faults --repeats 20

`bulkvi de` is ended by signals at five moments, runs into a full disk, and meets a second one in its folder. After each
run: exit code 0 only with a complete new result; `bulkvi report` accepts complete results of one run only; an older result is
unchanged or replaced as a whole. The first repeat is a process of its own; the others are forks of a process that has
bulkvi loaded, whose functions are wrapped to send the signal; they have one coarse figure, a short page and short training,
to save time.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# what is wrapped; the signal comes up to so many seconds after the call
MOMENTS = {
    "reading": ("bulkvi.cli._reading.read", 0.05),
    "setup": ("bulkvi.BulkVI.setup_anndata", 0.02),
    "training": ("bulkvi.BulkVI.train", 0.3),
    "regression, figures": ("bulkvi.BulkVI.differential_expression", 2.0),
    "moving in": ("bulkvi.cli._folder.shutil.move", 0.0),
}
# the line of standard error that a process of its own is ended after, and the delay
LINES = {
    "reading": ("Reading", 1.0),
    "setup": ("genes with at least", 0.0),
    "training": ("Training", 0.1),
    "regression, figures": ("Writing", 1.0),
    "moving in": ("Writing", None),
}
N_MOVES = 24
OLD_SEED, NEW_SEED = 1, 2


def make_files(folder: Path) -> list[str]:
    """Write 8 samples x 150 genes; return the arguments that analyse them."""
    from bulkvi import datasets

    truth = datasets.simulate(n_per_group=4, n_genes=150, effect_sd=2.0, seed=3)
    truth.obs_names = [f"s{k}" for k in range(truth.n_obs)]
    truth.to_df().T.to_csv(folder / "counts.csv", index_label="gene_id")
    truth.obs[["group"]].astype(str).to_csv(folder / "samples.csv", index_label="sample")
    given = ["de", str(folder / "counts.csv"), str(folder / "samples.csv"), "--design", "~ group"]
    return [*given, "--contrast", "group", "B", "A"]


def forked(action: Callable[[], None], log: Path) -> int:
    """Run in a child and return its process id."""
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        with open(log, "wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        action()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # a child ends here in any case
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Exit code of a child; minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def command(arguments: list[str], *, wrapped: Callable[[], None] = lambda: None, short_training: bool = True) -> None:
    """`bulkvi` in this process, with one coarse figure for all, a short page and short training."""
    from matplotlib.figure import Figure

    import bulkvi
    from bulkvi.cli import app
    from bulkvi.cli._folder import FIGURES

    def short_page(model: object, table: object, path: Path, *, figures: Path | None = None, **_: object) -> Path:
        figure = Figure(figsize=(3.3, 2))
        figure.subplots().plot([0, 1])
        for name in FIGURES[:-1] if figures is not None else ():
            for kind in ("png", "pdf"):
                figure.savefig(figures / f"{name}.{kind}", dpi=20)
        path.write_text("<!doctype html>" + "x" * 200_000)
        return path

    bulkvi.report = short_page
    train = bulkvi.BulkVI.train
    if short_training:
        bulkvi.BulkVI.train = lambda model, **given: train(model, max_steps=20, plateau_tolerance=None, **given)
    wrapped()
    app(arguments, prog_name="bulkvi")


def sends(number: int, moment: str, rng: random.Random) -> Callable[[], None]:
    """Wrap the function of a moment so that this process gets the signal."""
    path, latest = MOMENTS[moment]
    delay, n_th = rng.uniform(0, latest), rng.randrange(N_MOVES) if moment == "moving in" else 0

    def wrap() -> None:
        import importlib

        module, _, name = path.rpartition(".")
        parts = module.split(".")
        for k in range(len(parts), 0, -1):
            try:
                holder = importlib.import_module(".".join(parts[:k]))
                break
            except ModuleNotFoundError:
                continue
        for part in parts[k:]:
            holder = getattr(holder, part)
        plain, calls = getattr(holder, name), []

        def watched(*args: object, **kwargs: object) -> object:
            calls.append(None)
            if len(calls) == n_th + 1:
                if delay:
                    threading.Timer(delay, os.kill, (os.getpid(), number)).start()
                else:
                    os.kill(os.getpid(), number)
            return plain(*args, **kwargs)

        setattr(holder, name, watched)

    return wrap


def process(arguments: list[str], out: Path, number: int, moment: str, log: Path) -> int:
    """End a process of its own at a moment; return its exit code."""
    line, delay = LINES[moment]
    started = subprocess.Popen(
        [sys.executable, "-c", "from bulkvi.cli import app; app(prog_name='bulkvi')", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen = []
    for text in started.stderr:
        seen.append(text)
        if line in text:
            break
    if delay is None:  # the summary is the last file written before all are moved
        while started.poll() is None and not any(out.glob(".bulkvi-*/run.json")):
            pass
    else:
        time.sleep(delay)
    started.send_signal(number)
    log.write_text("".join(seen) + started.stderr.read())
    return started.wait()


def contents(folder: Path) -> dict[str, bytes]:
    files = folder.rglob("*") if folder.is_dir() else ()
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.is_file()}


def is_whole(folder: Path) -> int | None:
    """Seed of the run whose files are all there as it wrote them; None if there is none."""
    from bulkvi.cli._folder import RUN_FILE
    from bulkvi.cli._run_file import CHECKSUMS, check_whole, read_run

    try:
        run = read_run(folder / RUN_FILE)
        check_whole(folder, run, run[CHECKSUMS])
    except ValueError:
        return None
    return run["seed"] if all((folder / name).is_file() for name in run["files"]) else None


def is_accepted(out: Path, log: Path) -> bool:
    """Whether `bulkvi report` makes a page of a folder."""
    page = ["report", str(out), "--out", str(log.with_suffix(".html"))]
    return ended(forked(lambda: command(page), log.with_suffix(".2"))) == 0


def judge(out: Path, code: int, older: dict[str, bytes] | None, log: Path, *, expected: set[int]) -> str:
    """The verdict on one run, and on what it left."""
    from bulkvi.cli._folder import HIDDEN

    report = forked(
        lambda: command(["report", str(out), "--out", str(log.with_suffix(".html"))]), log.with_suffix(".2")
    )
    accepted = ended(report) == 0
    seed, left = is_whole(out), contents(out)
    hidden = {name for name in left if name.startswith(HIDDEN)}
    visible = {name: data for name, data in left.items() if name not in hidden}
    output = log.read_text(errors="replace")
    if code not in expected:
        return f"WRONG exit code {code}"
    if "Traceback" in output:
        return "WRONG: a traceback"
    if code == 0 and seed != NEW_SEED:
        return "WRONG: exit code 0 without a whole new result"
    if accepted and seed is None:
        return "WRONG: a part was taken for a whole result"
    if hidden and code != -signal.SIGKILL:
        return f"WRONG: {sorted(hidden)} left behind"
    if seed == OLD_SEED and visible != older:
        return "WRONG: the older result changed"
    if seed is not None and not accepted:
        return "WRONG: a whole result was refused"
    if seed is None and visible:
        return "parts, refused" if code == -signal.SIGKILL else "WRONG: parts left"
    return {None: "nothing", OLD_SEED: "older result", NEW_SEED: "new result"}[seed]


def cleans_up(out: Path, log: Path) -> bool:
    """Whether the next command removes what a killed one left."""

    def next_command() -> None:
        from types import SimpleNamespace

        from bulkvi.cli._folder import RESULTS, new_result

        with new_result(SimpleNamespace(meta={}), out, RESULTS, force=True, what="it"):
            pass

    return ended(forked(next_command, log)) == 0 and not any(out.glob(".bulkvi-*"))


def main() -> None:
    """Run all of it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start, rng = time.perf_counter(), random.Random(options.seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let background jobs ignore it, and so would ours

    import torch

    import bulkvi
    import bulkvi.cli._de  # loaded once, for all forks

    torch.set_num_threads(1)
    _ = bulkvi.BulkVI, bulkvi.report, bulkvi.pl, bulkvi.io, bulkvi.tl, bulkvi.pp
    verdicts: dict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log, old, out = folder / "log", folder / "old", folder / "out"
        arguments = make_files(folder)
        if len(os.listdir("/proc/self/task")) > 1:
            print("Threads run before the forks; with more than that of the memory allocator a fork may hang.")
        if ended(forked(lambda: command([*arguments, "--out", str(old), "--seed", str(OLD_SEED)]), log)):
            raise RuntimeError(log.read_text())
        older = contents(old)
        if not is_accepted(old, log) or is_accepted(folder / "nowhere", log):
            raise RuntimeError("bulkvi report does not tell a result from nothing.")
        new = [*arguments, "--force", "--seed", str(NEW_SEED)]

        def begin(target: Path, *, with_older: bool) -> dict[str, bytes] | None:
            shutil.rmtree(target, ignore_errors=True)
            if with_older:
                shutil.copytree(old, target, dirs_exist_ok=True)
            return older if with_older else None

        def note(kind: str, verdict: str) -> None:
            verdicts[kind][verdict] += 1
            if verdict.startswith("WRONG"):
                print(f"{kind}: {verdict}\n{log.read_text(errors='replace')[-2000:]}", flush=True)

        for moment in MOMENTS:
            for number in SIGNALS:
                for repeat in range(options.repeats):
                    before = begin(out, with_older=repeat % 2 == 1)
                    call = [*new, "--out", str(out)]
                    if repeat == 0:
                        code = process(call, out, number, moment, log)
                    else:
                        wrapped = sends(number, moment, rng)
                        short = moment != "training"
                        run = lambda: command(call, wrapped=wrapped, short_training=short)  # noqa: B023, E731
                        code = ended(forked(run, log))
                    by_signal = -number if number == signal.SIGKILL else 128 + number
                    verdict = judge(out, code, before, log, expected={by_signal, 0})
                    if number == signal.SIGKILL and not cleans_up(out, log):
                        verdict = "WRONG: leftovers stay"
                    note(f"{number.name} {moment}", f"{verdict} (exit {code})")
            print(f"{moment}: {time.perf_counter() - start:,.0f} s", flush=True)
        for repeat in range(options.repeats):
            with_older = repeat % 2 == 1
            disk = folder / "disk"
            disk.mkdir(exist_ok=True)
            used = sum(map(len, older.values())) // 1024 + 120 if with_older else 0
            size = f"size={used + rng.randrange(40, 450)}k"
            if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], capture_output=True).returncode:
                print("Full disk: left out, no tmpfs can be mounted here.")
                break
            try:
                before = begin(disk / "out", with_older=with_older)
                call = [*new, "--out", str(disk / "out")]
                if repeat == 0:
                    ran = subprocess.run(
                        [sys.executable, "-c", "from bulkvi.cli import app; app(prog_name='bulkvi')", *call],
                        capture_output=True,
                        text=True,
                    )
                    code = ran.returncode
                    log.write_text(ran.stderr)
                else:
                    code = ended(forked(lambda: command(call), log))  # noqa: B023
                note("full disk", f"{judge(disk / 'out', code, before, log, expected={0, 1})} (exit {code})")
            finally:
                subprocess.run(["umount", str(disk)], check=True)
        for repeat in range(options.repeats):
            before = begin(out, with_older=repeat % 2 == 1)
            call = [*new, "--out", str(out)]
            logs = (log, folder / "log2")
            if repeat == 0:
                both = [
                    subprocess.Popen(
                        [sys.executable, "-c", "from bulkvi.cli import app; app(prog_name='bulkvi')", *call],
                        stderr=open(path, "w"),
                        stdout=subprocess.DEVNULL,
                    )
                    for path in logs
                ]
                codes = [each.wait() for each in both]
            else:
                children = []
                for path in logs:
                    children.append(forked(lambda: command(call), path))  # noqa: B023
                    time.sleep(rng.uniform(0, 0.2))
                codes = [ended(child) for child in children]
            verdict = judge(out, min(codes), before, log, expected={0})
            if sorted(codes) != [0, 2]:
                verdict = f"WRONG exit codes {codes}"
            note("two on one folder", f"{verdict} (exit {sorted(codes)})")
    width = max(map(len, verdicts))
    for kind, counted in verdicts.items():
        print(f"{kind:<{width}}  " + "; ".join(f"{n} x {verdict}" for verdict, n in counted.most_common()))
    n_wrong = sum(n for counted in verdicts.values() for verdict, n in counted.items() if verdict.startswith("WRONG"))
    n_runs = sum(counted.total() for counted in verdicts.values())
    print(json.dumps({"runs": n_runs, "wrong": n_wrong, "minutes": round((time.perf_counter() - start) / 60, 1)}))
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main()
