"""Captions of scenes: templates, synonyms, hypernyms, and captions that leave things out.

A caption is made of mentions, one an object: (index of the object, which of its attributes are said). The words are drawn
from the generator that the caller gives, so a seed decides them.
"""
import random

SHAPES = ("circle", "square", "triangle", "star", "cross", "heart", "ring", "crescent")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SIZES = ("small", "medium", "large")
TEXTURES = ("plain", "striped", "dotted")
RELATIONS = ("left of", "right of", "above", "below")
ATTRIBUTES = ("colour", "shape", "size", "texture")  # the columns of a scene's table

# The first word is the one that prompts and labels use; it is also drawn more often than the others.
WORDS = {
    "circle": ("circle", "disc", "disk"), "square": ("square", "box"), "triangle": ("triangle",), "star": ("star",),
    "cross": ("cross", "plus"), "heart": ("heart",), "ring": ("ring", "hoop"), "crescent": ("crescent", "moon"),
    "red": ("red", "crimson"), "orange": ("orange",), "yellow": ("yellow", "golden"), "green": ("green",), "blue": ("blue",),
    "purple": ("purple", "violet"), "pink": ("pink",), "black": ("black",),
    "small": ("small", "little", "tiny"), "medium": ("medium", "medium-sized"), "large": ("large", "big"),
    "plain": ("plain", "solid"), "striped": ("striped", "stripy"), "dotted": ("dotted", "spotted"),
    "left of": ("left of", "to the left of", "on the left of"), "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "higher than"), "below": ("below", "under", "beneath"),
}
AFTER = {"plain": "in one colour", "striped": "with stripes", "dotted": "with dots"}
HYPERNYMS = ("shape", "object", "thing", "figure")
OPENINGS = ("", "", "", "", "a picture of ", "an image of ", "a drawing of ", "there is ", "a scene with ")
OPPOSITE = (1, 0, 3, 2)


def pick(rng, words):
    """The first half of the time, else one of the others. Always one draw: a changed caption keeps its other words."""
    draw = rng.random()
    return words[0] if draw < 0.5 or len(words) == 1 else words[1 + int((draw - 0.5) * 2 * (len(words) - 1))]


def article(rng, words):
    kind = rng.random()
    if kind < 0.1:
        return "the " + words
    if kind < 0.2:
        return words
    return ("an " if words[0] in "aeio" else "a ") + words


def words_for(rng, attributes, said):
    """attributes: a row (colour, shape, size, texture); said: which of them the words tell."""
    colour, shape, size, texture = attributes
    words, after = [], ""
    if said[2]:
        words.append(pick(rng, WORDS[SIZES[size]]))
    if said[3]:
        word = pick(rng, WORDS[TEXTURES[texture]])
        if rng.random() < 0.8:
            words.append(word)
        else:
            after = " " + AFTER[TEXTURES[texture]]
    if said[0]:
        words.append(pick(rng, WORDS[COLOURS[colour]]))
    words.append(pick(rng, WORDS[SHAPES[shape]]) if said[1] else pick(rng, HYPERNYMS))
    return " ".join(words) + after


def noun_phrase(rng, attributes, said):
    return article(rng, words_for(rng, attributes, said))


def relation(a, b):
    """Where an object at a = (x, y) is, seen from b: an index into RELATIONS, of the longer of the two distances."""
    dx, dy = a[0] - b[0], a[1] - b[1]
    if abs(dx) >= abs(dy):
        return 0 if dx < 0 else 1
    return 2 if dy < 0 else 3


def clear(a, b):
    """Whether one distance is so much longer than the other that nobody would call the relation otherwise."""
    dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
    return max(dx, dy) >= 1.4 * min(dx, dy)


def plan(rng, rows, places, full):
    """What to say: (mentions, relations), mentions as (object, said), relations as (mention, relation, mention)."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    if not full and len(order) > 1 and rng.random() < 0.25:
        order.pop()
    if full:
        mentions = [(i, (True, True, True, rng.random() < 0.7)) for i in order]
    else:
        rich = rng.random()
        mentions = []
        for i in order:
            said = (True, True, rng.random() < rich, rng.random() < rich * 0.7)
            if rng.random() < 0.12:
                said = (False, *said[1:]) if rng.random() < 0.5 else (said[0], False, *said[2:])
            mentions.append((i, said))
    relations = []
    if len(mentions) > 1 and (full or rng.random() < 0.8):
        for m in range(1, len(mentions)):  # a chain: each object and the one before it, or the first
            other = m - 1 if m == 1 or rng.random() < 0.6 else 0
            a, b = places[mentions[other][0]], places[mentions[m][0]]
            if clear(a, b):
                relations.append((other, relation(a, b), m))
    return mentions, relations


def sentence(rows, told):
    """The words of what is told; the same choices wherever `told` is the same."""
    mentions, relations, wording = told
    rng = random.Random(wording)
    opening = OPENINGS[int(rng.random() * len(OPENINGS))]
    phrases = [noun_phrase(rng, rows[i], said) for i, said in mentions]
    text, linked = phrases[0], {m: (o, r) for o, r, m in relations}
    for m in range(1, len(phrases)):
        if m not in linked:
            text += (", " if m + 1 < len(phrases) and rng.random() < 0.5 else " and ") + phrases[m]
            continue
        other, r = linked[m]
        if other == m - 1 and rng.random() < 0.6:
            text += " " + pick(rng, WORDS[RELATIONS[r]]) + " " + phrases[m]
        else:  # told from the new object's side
            i, said = mentions[other]
            link = " and " if rng.random() < 0.5 else ", with "
            text += link + phrases[m] + " " + pick(rng, WORDS[RELATIONS[OPPOSITE[r]]])
            text += " the " + words_for(rng, rows[i], (*said[:2], False, False))
    return opening + text


def caption(rng, rows, places, full=False):
    """(text, told) of a scene. rows: a list of (colour, shape, size, texture); places: (x, y) in 0..1.
    full: size, colour and shape of every object are told, and each relation of the chain that is clear."""
    told = (*plan(rng, rows, places, full), rng.getrandbits(32))
    return sentence(rows, told), told


def swapped(rng, rows, told, kinds=range(4)):
    """The caption with one attribute, of one of these kinds, swapped between two objects; None where that says nothing false."""
    mentions, relations, _ = told
    facts = lambda table: sorted(tuple(table[o][k] if s[k] else -1 for k in range(4)) for o, s in mentions)
    choices = []
    for kind in kinds:
        for a in range(len(mentions)):
            for b in range(a):
                (i, si), (j, sj) = mentions[a], mentions[b]
                if not (si[kind] and sj[kind]) or rows[i][kind] == rows[j][kind]:
                    continue
                changed = [list(r) for r in rows]
                changed[i][kind], changed[j][kind] = rows[j][kind], rows[i][kind]
                if facts(changed) != facts(rows):
                    choices.append(changed)
    return sentence(rng.choice(choices), told) if choices else None


def reversed_relation(rng, rows, told):
    """The caption with one relation turned into its opposite, or None."""
    mentions, relations, wording = told
    if not relations:
        return None
    at = rng.randrange(len(relations))
    o, r, m = relations[at]
    return sentence(rows, (mentions, relations[:at] + [(o, OPPOSITE[r], m)] + relations[at + 1:], wording))


def prompt(colour, shape):
    """The label of the zero-shot classes."""
    words = f"{COLOURS[colour]} {SHAPES[shape]}"
    return ("an " if words[0] in "aeio" else "a ") + words


def vocabulary():
    """Every word that a caption can have."""
    texts = [w for words in WORDS.values() for w in words] + [*AFTER.values(), *HYPERNYMS, *OPENINGS, "the a an and with"]
    return sorted({w for text in texts for w in text.replace("-", " ").split()}) + [",", "-", "."]
