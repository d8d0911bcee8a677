"""Who may include whom, and that nobody includes in a circle."""

from tree import INCLUDE, ROOT, finish, library_files

# Folder of include/tessera -> folders that its files may include beside their own; kernels/ counts as one folder.
ALLOWED = {
    "core": set(),
    "kernels": set(),  # and core/dtype.hpp
    "io": {"core"},
    "text": {"io", "core"},
    "image": {"ops", "io", "core"},
    "audio": {"ops", "io", "core"},
    "ops": {"kernels", "core"},
    "models": {"ops", "io", "text", "image", "core"},
    "align": {"ops", "io", "text", "image", "core"},
    "retrieval": {"models", "ops", "io", "text", "image", "core"},
    "recipes": {"retrieval", "align", "models", "ops", "io", "text", "image", "audio", "core"},
}
KERNELS_MAY_NAME = {"tessera/core/dtype.hpp"}
# Libraries beside the standard one, and the folders that may bring them.
LIBRARIES = {
    "nlohmann/": {"io", "text", "models"},
    "Eigen/": {"align"},
    "xsimd/": {"kernels"},
    "jpeglib.h": {"image"},
    "png.h": {"image"},
    "webp/": {"image"},
    "xxhash.h": {"models"},  # models/packed_cache.hpp
}


def folder_of(name, path):
    """The layer that a file of the include roots belongs to; an umbrella tessera/<folder>.hpp belongs to its folder."""
    if path.is_relative_to(ROOT / "kernels"):
        return "kernels"
    parts = name.split("/")
    if len(parts) == 2:
        stem = parts[1].split(".")[0]
        return stem if stem in ALLOWED else ("version" if stem == "version" else "umbrella")
    return parts[1]


def circle(graph):
    """One circle of includes, or None. A -inl file and its own header include each other by design: see architecture."""
    state, trail = {}, []

    def visit(node):
        state[node] = "open"
        trail.append(node)
        for target in graph.get(node, ()):
            if state.get(target) == "open":
                return trail[trail.index(target):] + [target]
            if target not in state:
                found = visit(target)
                if found:
                    return found
        trail.pop()
        state[node] = "done"
        return None

    for node in sorted(graph):
        if node not in state:
            found = visit(node)
            if found:
                return found
    return None


files = library_files()
problems, graph, lines = [], {}, 0
for name, path in files.items():
    folder = folder_of(name, path)
    if folder not in ALLOWED and folder not in ("umbrella", "version"):
        problems.append(f"{name}: no rule says what the folder '{folder}' may include; add it to {__file__}")
        continue
    for mark, target in INCLUDE.findall(path.read_text(encoding="utf-8")):
        lines += 1
        if mark == '"':
            problems.append(f'{name}: "{target}": includes are written <...>, from the include root')
            continue
        if not target.startswith("tessera/"):
            for prefix, users in LIBRARIES.items():
                if target.startswith(prefix) and folder not in users and folder != "umbrella":
                    problems.append(f"{name}: {folder} may not bring <{target}>")
            continue
        if target not in files:
            problems.append(f"{name}: <{target}> is not in include/ or kernels/")
            continue
        owner = folder_of(target, files[target])
        if owner in (folder, "version") or folder == "umbrella":
            pass
        elif folder == "kernels" and target in KERNELS_MAY_NAME:
            pass
        elif owner not in ALLOWED.get(folder, ()):
            problems.append(f"{name}: {folder} may not include {owner} (<{target}>)")
        own_pair = name.replace("-inl.hpp", ".hpp") == target.replace("-inl.hpp", ".hpp")
        if not own_pair:
            graph.setdefault(name, []).append(target)

# A header and its -inl file are one node: the first ends by including the second, which begins by including the first.
merged = {}
for name, targets in graph.items():
    node = name.replace("-inl.hpp", ".hpp")
    merged.setdefault(node, set()).update(t.replace("-inl.hpp", ".hpp") for t in targets if "-inl.hpp" not in name)
found = circle({node: sorted(t - {node}) for node, t in merged.items()})
if found:
    problems.append("a circle of includes: " + " -> ".join(found))
finish(problems, f"{lines} include lines of {len(files)} files")
