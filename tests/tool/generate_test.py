"""tessera generate: what transformers decodes (make_generate.py), a JSON object a text."""

import json
import unittest

from toolkit import GOLDENS, ToolTest

QWEN = GOLDENS / "generate" / "qwen3"
CASES = json.loads((GOLDENS / "generate.json").read_text())["cases"]["generate/qwen3"]
TEXTS = "".join(c["text"] + "\n" for c in CASES)


class GenerateTest(ToolTest):
    def generate(self, content, *args, code=0):
        done = self.tool("generate", "--model", QWEN, "--text", "-", *args, stdin=content.encode(), code=code)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def test_recorded_tokens(self):
        for threads in ("1", "3"):
            lines, err = self.generate(TEXTS, "--max-new-tokens", "12", "--threads", threads)
            self.assertEqual(err, "")
            self.assertEqual(lines, [{"text": c["follows"], "ids": c["new"]} for c in CASES])

    def test_options(self):
        short, _ = self.generate(TEXTS, "--max-new-tokens", "2")
        self.assertEqual([line["ids"] for line in short], [c["new"][:2] for c in CASES])
        json_lines, _ = self.generate("".join(json.dumps(c["text"]) + "\n" for c in CASES), "--jsonl", "--max-new-tokens", "12")
        self.assertEqual([line["ids"] for line in json_lines], [c["new"] for c in CASES])
        ended = [c for c in CASES if len(c["new"]) < 12]
        self.assertTrue(ended, "no recorded text ends with an end token")
        longer, _ = self.generate(TEXTS, "--max-new-tokens", "12", "--ignore-eos")
        for c, line in zip(CASES, longer):
            self.assertEqual(len(line["ids"]), 12)
            self.assertEqual(line["ids"][: len(c["new"])], c["new"])
        rounded, _ = self.generate(TEXTS, "--dtype", "bf16")
        self.assertEqual(len(rounded), len(CASES))

    def test_skipped_texts_are_named(self):
        lines, err = self.generate("the dog is\n\n" + "a " * 100 + "\n", "--max-new-tokens", "12", code=3)
        self.assertEqual([line["ids"] for line in lines], [CASES[0]["new"]])
        self.assertIn("line 2 skipped: causal lm: a prompt has at least one token", err)
        self.assertIn("line 3 skipped: causal lm: a prompt of 100 tokens; the model takes 64", err)

    def test_refused_models(self):
        done = self.tool("generate", "--model", GOLDENS / "tiny_rotary" / "gpt2", "--text", "-", stdin=b"", code=4)
        self.assertIn("no tokenizer.json", done.stderr)
        done = self.tool("generate", "--model", GOLDENS / "tiny_rotary" / "modernbert", "--text", "-", stdin=b"", code=4)
        self.assertIn("modernbert", done.stderr)
        self.tool("generate", "--model", QWEN, code=2)


if __name__ == "__main__":
    unittest.main()
