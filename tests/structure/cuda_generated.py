"""kernels/tessera/cuda/sm90_wgmma.inc is what its script writes."""

import subprocess
import sys

from tree import ROOT, finish

folder = ROOT / "kernels/tessera/cuda"
made = subprocess.run([sys.executable, str(folder / "generate_wgmma.py")], check=True, capture_output=True, text=True).stdout
same = made == (folder / "sm90_wgmma.inc").read_text(encoding="utf-8")
finish([] if same else ["sm90_wgmma.inc is not what generate_wgmma.py writes"], f"{len(made.splitlines())} lines")
