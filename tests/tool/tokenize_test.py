"""tessera tokenize: ids, tokens and offsets of each line."""

import json
import unittest

from toolkit import ST, TEXTS, ToolTest

MODEL = ST / "all_modes"
LIMIT = 100  # of all_modes; tokens.jsonl is cut to it


class TokenizeTest(ToolTest):
    def tokenize(self, content, *args, model=MODEL, code=0):
        done = self.tool("tokenize", "--model", model, *args, stdin=content if isinstance(content, bytes) else content.encode(), code=code)
        if code == 0:
            self.assertEqual(done.stderr, "")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        for line in lines:
            self.assertEqual(set(line), {"ids", "tokens", "offsets"})
            self.assertEqual(len({len(line[k]) for k in line}), 1)
        return lines

    def test_recorded_ids(self):
        for model in ("all_modes", "max_vocab_txt", "mean_sqrt_len", "weighted_last_prompt"):
            config = json.loads((ST / model / "config.json").read_text())
            with self.subTest(model):
                got = self.tokenize(TEXTS.read_bytes(), "--jsonl", model=ST / model)
                want = [json.loads(line) for line in (ST / model / "tokens.jsonl").read_text().splitlines()]
                self.assertEqual(len(got), len(want))
                longest = max(len(ids) for ids in want)
                self.assertLessEqual(longest, config["max_position_embeddings"])
                for g, w in zip(got, want):
                    if len(g["ids"]) > longest:  # the recorded ones are cut: what is left are the first and the last, [SEP]
                        self.assertEqual(g["ids"][: longest - 1] + g["ids"][-1:], w)
                    else:
                        self.assertEqual(g["ids"], w)

    def test_tokens_and_offsets(self):
        self.assertEqual(
            self.tokenize("a cat\n"),
            [{"ids": self.tokenize("a cat\n")[0]["ids"], "tokens": ["[CLS]", "a", *self.tokenize("cat\n", "--no-special-tokens")[0]["tokens"], "[SEP]"],
              "offsets": [[0, 0], [0, 1], *[[a + 2, b + 2] for a, b in self.tokenize("cat\n", "--no-special-tokens")[0]["offsets"]], [0, 0]]}],
        )  # fmt: skip

    def test_offsets_are_in_code_points(self):
        """Behind characters of two, three and four bytes, a token's offsets still cut it out of the text."""
        for text in ("caf\u00e9 the", "\u4eca\u65e5 the", "\U0001f600\U0001f600 the", "e\u0301\u0301 the", "the"):
            with self.subTest(text):
                line = self.tokenize(text + "\n", "--no-special-tokens")[0]
                at = len(text) - 3
                pieces = [(t, o) for t, o in zip(line["tokens"], line["offsets"]) if o[0] >= at]
                self.assertEqual("".join(t.removeprefix("##") for t, _ in pieces), "the")
                self.assertEqual((pieces[0][1][0], pieces[-1][1][1]), (at, len(text)))

    def test_no_special_tokens(self):
        with_special, without = (self.tokenize("a cat\n", *args)[0] for args in ([], ["--no-special-tokens"]))
        self.assertEqual(with_special["tokens"], ["[CLS]", *without["tokens"], "[SEP]"])
        self.assertEqual(with_special["ids"][1:-1], without["ids"])

    def test_truncation(self):
        """As the tokenizer's file says, unless told otherwise."""
        model = self.model(MODEL)
        path = model / "tokenizer.json"
        cut = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
        path.write_text(json.dumps({**json.loads(path.read_text()), "truncation": cut}))
        text = "a b c d e f\n"
        self.assertEqual(self.tokenize(text, model=model)[0]["tokens"], ["[CLS]", "a", "b", "c", "[SEP]"])
        self.assertEqual(self.tokenize(text, "--no-truncation", model=model)[0]["tokens"], ["[CLS]", *"abcdef", "[SEP]"])
        self.assertEqual(self.tokenize(text, "--no-special-tokens", model=model)[0]["tokens"], [*"abcde"])

    def test_padding_is_left_out(self):
        model = self.model(MODEL)
        path = model / "tokenizer.json"
        fill = {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
        path.write_text(json.dumps({**json.loads(path.read_text()), "padding": fill}))
        self.assertEqual(self.tokenize("a\n", model=model), self.tokenize("a\n"))

    def test_lines(self):
        """Empty ones too, with Windows ends, and a last one without an end."""
        tokens = [line["tokens"] for line in self.tokenize(b"a\r\n\nb\n\nc", "--no-special-tokens")]
        self.assertEqual(tokens, [["a"], [], ["b"], [], ["c"]])
        self.assertEqual(self.tokenize(b""), [])
        self.assertEqual(self.tokenize(b"a\0b\n"), self.tokenize('"a\\u0000b"\n', "--jsonl"))

    def test_jsonl(self):
        texts = ["a cat", "a\ncat", "", "\u00e9"]
        got = self.tokenize("".join(json.dumps(t) + "\n" for t in texts), "--jsonl")
        self.assertEqual(got, self.tokenize("".join(json.dumps({"text": t}) + "\n" for t in texts), "--jsonl"))
        self.assertEqual(got, self.tokenize("".join(json.dumps({"text": t, "pair": None}) + "\n" for t in texts), "--jsonl"))
        self.assertEqual(got[0], self.tokenize("a cat\n")[0])

    def test_pairs(self):
        pair = self.tokenize(json.dumps({"text": "a cat", "pair": "the dog"}) + "\n", "--jsonl")[0]
        first, second = (self.tokenize(t + "\n", "--no-special-tokens")[0] for t in ("a cat", "the dog"))
        self.assertEqual(pair["tokens"], ["[CLS]", *first["tokens"], "[SEP]", *second["tokens"], "[SEP]"])
        none = [[0, 0]]
        self.assertEqual(pair["offsets"], none + first["offsets"] + none + second["offsets"] + none)  # each in its own text
        self.assertEqual(self.tokenize(json.dumps({"text": "a", "pair": "b"}), "--jsonl", "--no-special-tokens")[0]["tokens"], ["a", "b"])

    def test_skipped_lines_are_named(self):
        done = self.tool("tokenize", "--model", MODEL, stdin=b"a\nb\xff\nc\n", code=3)
        self.assertEqual(done.stdout.count("\n"), 2)
        self.assertEqual(done.stderr, "tessera: standard input, line 2 skipped: the text is not valid UTF-8 at byte 1\n")
        for broken, why in (("{", "not valid JSON"), ("3", "expected a JSON string or"), ('{"pair": "a"}', "expected"), ('{"text": 1}', "expected"), ('{"text": "a", "pair": 2}', "expected"), ("[]", "expected"), ("", "not valid JSON")):
            with self.subTest(broken):
                done = self.tool("tokenize", "--model", MODEL, "--jsonl", stdin=f'"a"\n{broken}\n"b"\n'.encode(), code=3)
                self.assertEqual(done.stdout.count("\n"), 2)
                self.assertRegex(done.stderr, r"\Atessera: standard input, line 2 skipped: .*\n\Z")
                self.assertIn(why, done.stderr)

    def test_weights_are_not_needed(self):
        model = self.model(MODEL, without=["model.safetensors", "config.json"])
        self.assertEqual(self.tokenize("a\n", model=model), self.tokenize("a\n"))


if __name__ == "__main__":
    unittest.main()
