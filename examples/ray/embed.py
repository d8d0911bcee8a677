#!/usr/bin/env python3
"""Embeds a large file on many machines: one Ray task for each part of it, and each runs `tessera embed --shard i/n --resume`.

    examples/ray/embed.py --model DIR --text texts.txt -o parts --shards 64 [--address ADDRESS] [-- --dtype bf16 ...]

What stands behind -- goes to tessera embed. Without --address a cluster of this machine alone is started. The model, the
inputs and the output folder must have the same paths everywhere (a shared file system). A part is done when its manifest
matches, so whatever is killed, a machine, a worker, an encoder or this program: run it again, and the parts end up with the
same bytes as without. Exit codes are the tool's: 0 all done, 3 some inputs skipped; otherwise that of the first part that failed.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys

import ray

ROOT = pathlib.Path(__file__).resolve().parents[2]
DONE, SKIPPED, STOPPED = 0, 3, (130, 143)


def embed_shard(command, shard, timeout):
    """Exit code and stderr of one part's encoder. What another try may mend is raised, and Ray tries again."""
    done = subprocess.run([*command, "--shard", shard], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=timeout)
    if done.returncode < 0 or done.returncode in STOPPED:
        raise ChildProcessError(f"the encoder of part {shard} was killed ({done.returncode}): {done.stderr}")
    return done.returncode, done.stderr


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder, or org/name in an existing Hugging Face cache")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="a text a line")
    source.add_argument("--image", nargs="+", help="files, folders, .tar archives")
    parser.add_argument("-o", "--out", required=True, help="the folder of the parts")
    parser.add_argument("--shards", type=int, required=True, help="how many parts; a minute or more each is a good size")
    parser.add_argument("--address", help="of a Ray cluster; else one is started here")
    parser.add_argument("--cpus", type=float, default=1, help="of each task, may be 0.5; its encoder runs as many threads, one at least")
    parser.add_argument("--retries", type=int, default=3, help="of a part whose encoder or worker was killed")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one try of one part")
    parser.add_argument("--tool", default=os.environ.get("TESSERA_TOOL"), help="the program; else that of the newest build, or of PATH")
    parser.add_argument("rest", nargs="*", metavar="-- OPTION", help="more options of tessera embed")
    args = parser.parse_args()
    if args.shards < 1 or args.cpus < 0 or args.retries < 0 or args.timeout <= 0:
        parser.error("--shards must be at least 1, --cpus and --retries at least 0, --timeout more than 0")
    built = sorted(ROOT.glob("build/*/examples/tessera"), key=os.path.getmtime)
    args.tool = args.tool or (str(built[-1]) if built else shutil.which("tessera")) or parser.error("no tessera here: build it, or give --tool")
    return args


def here(path):
    """Absolute where there is such a file: workers run elsewhere."""
    return os.path.abspath(path) if os.path.exists(path) else path


def main():
    args = arguments()
    inputs = ["--text", here(args.text)] if args.text else ["--image", *map(here, args.image)]
    command = [here(args.tool), "embed", "--model", here(args.model), *inputs, "-o", os.path.abspath(args.out), "--resume", "--threads", str(max(1, int(args.cpus))), *args.rest]
    ray.init(address=args.address or "local", log_to_driver=False, **({} if args.address else {"include_dashboard": False}))
    if max(n["Resources"].get("CPU", 0) for n in ray.nodes() if n["Alive"]) < args.cpus:
        sys.exit(f"embed.py: no machine of the cluster has the {args.cpus:g} processors that --cpus asks for")
    task = ray.remote(embed_shard).options(num_cpus=args.cpus, max_retries=args.retries, retry_exceptions=[ChildProcessError, subprocess.TimeoutExpired])
    shards = {task.remote(command, f"{i}/{args.shards}", args.timeout): f"{i}/{args.shards}" for i in range(args.shards)}
    waiting, failed, skipped = list(shards), [], False
    while waiting:
        # No part can take longer than its tries, so a cluster in which nothing ends does not run at all.
        ready, waiting = ray.wait(waiting, timeout=args.timeout * (args.retries + 1) + 60)
        if not ready:
            sys.exit(f"embed.py: no part was finished for too long, {len(waiting)} are left; run again to go on")
        shard = shards[ready[0]]
        try:
            code, stderr = ray.get(ready[0])
        except ray.exceptions.RayError as e:  # the last try's, at the end of its trace
            code, stderr = 1, f"given up after {args.retries + 1} tries: {str(e).strip().splitlines()[-1]}\n"
        if code not in (DONE, SKIPPED):
            failed.append(code)
        skipped = skipped or code == SKIPPED
        state = "done" if code == DONE else "done, inputs skipped" if code == SKIPPED else f"failed, exit code {code}"
        print(f"{shard}: {state}, {len(waiting)} to go\n" + (stderr if code != DONE else ""), end="", file=sys.stderr, flush=True)
    return failed[0] if failed else SKIPPED if skipped else DONE


if __name__ == "__main__":
    sys.exit(main())
