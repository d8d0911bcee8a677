"""Every mutation's text is still somewhere in its file: a code base that moves on must not leave its mutations behind."""
import sys

from tree import ROOT, finish

sys.path.insert(0, str(ROOT / "tests"))
from mutations import MUTATIONS  # noqa: E402

gone = [f"{name} has no '{old}'" for name, old, _ in MUTATIONS if not (ROOT / name).exists() or old not in (ROOT / name).read_text(encoding="utf-8")]
finish(gone, f"{len(MUTATIONS)} mutations")
