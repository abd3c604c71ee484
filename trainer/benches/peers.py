#!/usr/bin/env python3
"""Times fine-tuning, reward training and sampling, beside TRL and transformers on the same rows.

    peers.py --trainer target/release/trainer --base DIR [--dtype f32] [--only sft]

The rows are made here from a fixed seed: lengths are like those of real chats, and speed does not
depend on the words. Each figure is one run on this machine; compare figures of one run only. The
peer is skipped, saying so, where PEER_PYTHON (default: python3) cannot import it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

WORDS = "the a of to and in it is that for on with as you be this are or at from we can not have will one time more".split()
PEER = Path(__file__).with_name("peer_trl.py")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--trainer", type=Path, required=True)
    arguments.add_argument("--base", type=Path, required=True)
    arguments.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    arguments.add_argument("--rows", type=int, default=24)
    arguments.add_argument("--only", choices=["sft", "reward", "sample"])
    given = arguments.parse_args()
    python = os.environ.get("PEER_PYTHON", "python3")
    lacks = what_peer_lacks(python)
    if lacks:
        print(f"no peer: {lacks}. `pip install torch transformers trl datasets` there, or set PEER_PYTHON\n")
    print(f"{'work':<8} {'tokens/s':>10} {'peer':>10} {'ratio':>7} {'memory MB':>10} {'peer':>8}   ({given.dtype}, {given.rows} rows)")
    with tempfile.TemporaryDirectory() as folder:
        for work in [given.only] if given.only else ["sft", "reward", "sample"]:
            rows = Path(folder) / f"{work}.jsonl"
            rows.write_text("".join(json.dumps(row) + "\n" for row in rows_for(work, given.rows)))
            ours = run_ours(given, work, rows, Path(folder) / work)
            peer = None if lacks else last_json([python, PEER, work, given.base, rows, given.dtype])
            say(work, ours, peer)


def rows_for(work, n):
    rng = random.Random(20)
    text = lambda low, high: " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))
    said = lambda role, low, high: [{"role": role, "content": text(low, high)}]
    for _ in range(n):
        row = {"prompt": said("user", 20, 200)}
        if work == "sft":
            row["completion"] = said("assistant", 10, 200)
        if work == "reward":
            row |= {"chosen": said("assistant", 10, 200), "rejected": said("assistant", 10, 200)}
        yield row


def run_ours(given, work, rows, out):
    common = ["--model", given.base, "--out", out, "--dtype", given.dtype, "--batch-size", "8"]
    command = {
        "sft": ["sft", "--data", rows, "--epochs", "1", "--max-length", "512", *common],
        "reward": ["reward", "--data", rows, "--epochs", "1", "--max-length", "512", *common],
        "sample": ["sample", "--prompts", rows, "--n", "1", "--max-new-tokens", "64", "--temperature", "1", *common],
    }[work]
    return last_json([given.trainer, *command])


def last_json(command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed ({done.returncode}):\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def what_peer_lacks(python):
    probe = "import torch, transformers, trl, datasets"
    done = subprocess.run([python, "-c", probe], stderr=subprocess.PIPE, text=True)
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def say(work, ours, peer):
    speed, memory = ours["tokens_per_second"], ours["peak_rss_mb"]
    beside = (f"{peer['tokens_per_second']:.0f}", f"{speed / peer['tokens_per_second']:.2f}", f"{peer['peak_rss_mb']}") if peer else ("-", "-", "-")
    print(f"{work:<8} {speed:>10.0f} {beside[0]:>10} {beside[1]:>7} {memory:>10} {beside[2]:>8}", flush=True)


if __name__ == "__main__":
    main()
