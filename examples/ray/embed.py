#!/usr/bin/env python3
"""Embeds a large file on many machines: one Ray task for each part of it, and each runs `tessera embed --shard i/n --resume`.

    examples/ray/embed.py --model DIR --text texts.txt -o parts --shards 64 [--address ADDRESS] [-- --dtype bf16 ...]

What stands behind -- goes to tessera embed. With --actors N it is N actors instead that hold the model, through the Python
module over libtessera, from one part to the next: for parts so small that loading it counts. Without --address a cluster of this machine alone is started. The model, the
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
import time

import ray
from parts import Parts, tool_options

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
    parser.add_argument("--actors", type=int, default=0, help="so many processes that keep the model, instead of a task a part; for --text")
    parser.add_argument("--cpus", type=float, help="of each task (1) or actor (0.5); its encoder runs as many threads, one at least")
    parser.add_argument("--retries", type=int, default=3, help="of a part whose encoder or worker was killed")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one try of one part")
    parser.add_argument("--tool", default=os.environ.get("TESSERA_TOOL"), help="the program; else that of the newest build, or of PATH")
    parser.add_argument("rest", nargs="*", metavar="-- OPTION", help="more options of tessera embed")
    args = parser.parse_args()
    if args.cpus is None:
        args.cpus = 0.5 if args.actors else 1
    if args.actors < 0 or (args.actors and not args.text):
        parser.error("--actors must be at least 1, and is for --text")
    args.options = tool_options(args.rest) if args.actors else None
    if args.shards < 1 or args.cpus < 0 or args.retries < 0 or args.timeout <= 0:
        parser.error("--shards must be at least 1, --cpus and --retries at least 0, --timeout more than 0")
    built = sorted(ROOT.glob("build/*/examples/tessera"), key=os.path.getmtime)
    if not args.actors:
        args.tool = args.tool or (str(built[-1]) if built else shutil.which("tessera")) or parser.error("no tessera here: build it, or give --tool")
    return args


def here(path):
    """Absolute where there is such a file: workers run elsewhere."""
    return os.path.abspath(path) if os.path.exists(path) else path


def by_tasks(args):
    """A task a part. Yields the part, and the exit code and stderr of its encoder, as they end."""
    inputs = ["--text", here(args.text)] if args.text else ["--image", *map(here, args.image)]
    command = [here(args.tool), "embed", "--model", here(args.model), *inputs, "-o", os.path.abspath(args.out), "--resume", "--threads", str(max(1, int(args.cpus))), *args.rest]
    if max(n["Resources"].get("CPU", 0) for n in ray.nodes() if n["Alive"]) < args.cpus:
        sys.exit(f"embed.py: no machine of the cluster has the {args.cpus:g} processors that --cpus asks for")
    task = ray.remote(embed_shard).options(num_cpus=args.cpus, max_retries=args.retries, retry_exceptions=[ChildProcessError, subprocess.TimeoutExpired])
    shards = {task.remote(command, f"{i}/{args.shards}", args.timeout): i for i in range(args.shards)}
    waiting = list(shards)
    while waiting:
        # No part can take longer than its tries, so a cluster in which nothing ends does not run at all.
        ready, waiting = ray.wait(waiting, timeout=args.timeout * (args.retries + 1) + 60)
        if not ready:
            sys.exit(f"embed.py: no part was finished for too long, {len(waiting)} are left; run again to go on")
        try:
            yield shards[ready[0]], *ray.get(ready[0])
        except ray.exceptions.RayError as e:
            yield shards[ready[0]], 1, given_up(args, e)


def by_actors(args):
    """Actors that keep the model and take one part after the other; otherwise as by_tasks(). One that dies is replaced."""
    count = min(args.actors, args.shards)
    have = ray.cluster_resources().get("CPU", 0)
    if count * args.cpus >= have:  # what a restart or Ray itself may need would never be free
        sys.exit(f"embed.py: {count} actors of {args.cpus:g} processors would hold all {have:g} of the cluster; fewer, or less --cpus, leave some")
    actor = ray.remote(Parts).options(num_cpus=args.cpus, scheduling_strategy="SPREAD")
    start = lambda: actor.remote(here(args.model), here(args.text), os.path.abspath(args.out), args.options, max(1, int(args.cpus)))
    idle, waiting, tries, running = [start() for _ in range(count)], list(range(args.shards)), [0] * args.shards, {}
    while waiting or running:
        while waiting and idle:
            shard, one = waiting.pop(0), idle.pop()
            tries[shard] += 1
            running[one.embed.remote(shard, args.shards)] = shard, one, time.monotonic() + args.timeout
        first = min(running, key=lambda r: running[r][2])
        ready, _ = ray.wait(list(running), timeout=max(0, running[first][2] - time.monotonic()))
        done = ready[0] if ready else first
        shard, one, _ = running.pop(done)
        try:
            if not ready:
                raise TimeoutError(f"timed out after {args.timeout} seconds")
            yield shard, *ray.get(done)
            idle.append(one)
        except (ray.exceptions.RayActorError, TimeoutError) as e:
            ray.kill(one)
            idle.append(start())
            if tries[shard] > args.retries:
                yield shard, 1, given_up(args, e)
            else:
                print(f"{shard}/{args.shards}: its actor was lost, again: {str(e).strip().splitlines()[0]}", file=sys.stderr, flush=True)
                waiting.insert(0, shard)
        except ray.exceptions.RayError as e:
            yield shard, 1, f"{str(e).strip().splitlines()[-1]}\n"
            idle.append(one)


def given_up(args, error):
    """What the last try said, at the end of its trace."""
    return f"given up after {args.retries + 1} tries: {str(error).strip().splitlines()[-1]}\n"


def main():
    args = arguments()
    ray.init(address=args.address or "local", log_to_driver=False, **({} if args.address else {"include_dashboard": False}))
    failed, skipped, left = [], False, args.shards
    for shard, code, stderr in by_actors(args) if args.actors else by_tasks(args):
        left -= 1
        if code not in (DONE, SKIPPED):
            failed.append(code)
        skipped = skipped or code == SKIPPED
        state = "done" if code == DONE else "done, inputs skipped" if code == SKIPPED else f"failed, exit code {code}"
        print(f"{shard}/{args.shards}: {state}, {left} to go\n" + (stderr if code != DONE else ""), end="", file=sys.stderr, flush=True)
    return failed[0] if failed else SKIPPED if skipped else DONE


if __name__ == "__main__":
    sys.exit(main())
