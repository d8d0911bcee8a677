"""Write tiny folders of embedding models with heads of all kinds, and what sentence-transformers computes for them.

    python make_heads.py [--out FOLDER]          # default: heads/ beside this script

Sentence modules, sparse models (SPLADE), models with an embedding a token (ColBERT), BGE-M3, and embeddings of each number of
layers. Random parameters, a vocabulary of single letters and few words, run in float64 one text at a time, recorded as
float32. Oracles: sentence-transformers; for BGE-M3, whose code is its authors', a few lines of PyTorch written from the paper
(arXiv:2402.03216, section 3.2); ColBERT is computed a second time from its paper (arXiv:2004.12832, section 3.2), and both must
agree. README.md tells the folders apart. Needs: numpy, torch, transformers, sentence-transformers, tokenizers, safetensors.
"""
import argparse
import json
import os
import pathlib
import shutil
import string

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers as tf
from safetensors.torch import save_file
from sentence_transformers import MultiVectorEncoder, SentenceTransformer, SparseEncoder
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from common import randomise, versions
from make_sentence_transformers import BASE, NEW, OLD, old_pooling, write_json
from make_tiny_jina import JinaBertMaskedLm, save as save_jina, sizes as jina_sizes

WORDS = "a small text about the cat dog and of in to is it search query document".split()
TEXTS = ["a small text", "the cat", "the dog is in the text", "a dog and a cat, and it is small!", "x", "", "search: of it", "zebra; quartz? (vow)", "... !!", "cat cat cat cat",
         "about a query of the document in the search", "the text is about the dog. " * 8, "[MASK] cat [MASK]", "Hello, World 42"]
SIZES = dict(hidden_size=24, num_attention_heads=3, intermediate_size=29, num_hidden_layers=2, max_position_embeddings=40)


def tokenizer(specials, cls, sep, added=()):
    tokens = list(specials) + list(string.ascii_lowercase) + ["##" + c for c in string.ascii_lowercase] + list("0123456789") + list(string.punctuation) + [w for w in WORDS if len(w) > 1]
    tok = Tokenizer(models.WordPiece({t: i for i, t in enumerate(tokens)}, unk_token=specials[1]))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    tok.add_special_tokens([t for t in specials if not t.startswith("[unused")])
    tok.add_tokens([AddedToken(t, normalized=True) for t in added])  # as PyLate adds them
    tok.post_processor = processors.TemplateProcessing(single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B:1 {sep}:1", special_tokens=[(t, tok.token_to_id(t)) for t in (cls, sep)])
    return tok


BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
ROBERTA_SPECIALS = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]


def bert_tokenizer(folder, added=()):
    tok = tokenizer(BERT_SPECIALS, "[CLS]", "[SEP]", added)
    tok.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", dict(tokenizer_class="PreTrainedTokenizerFast", model_max_length=512, model_input_names=["input_ids", "attention_mask"], unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]"))
    return tok.get_vocab_size()


def roberta_tokenizer(folder):
    tok = tokenizer(ROBERTA_SPECIALS, "<s>", "</s>")
    tok.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", dict(tokenizer_class="PreTrainedTokenizerFast", model_max_length=38, model_input_names=["input_ids", "attention_mask"], unk_token="<unk>", sep_token="</s>", eos_token="</s>", bos_token="<s>", pad_token="<pad>", cls_token="<s>", mask_token="<mask>"))
    return tok.get_vocab_size()


def linear(path, n, k, g, names=("linear",), bias=True, shift=0.0):
    tensors = {}
    for name in names:
        dot = name + "." if name else ""
        tensors[dot + "weight"] = torch.randn(n, k, generator=g) * k**-0.5
        if bias and name != "residual":
            tensors[dot + "bias"] = torch.randn(n, generator=g) * 0.3 + shift
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(path), metadata={"format": "pt"})


def modules(folder, *listed):
    write_json(folder / "modules.json", [dict(idx=i, name=str(i), path=p, type=t) for i, (p, t) in enumerate(listed)])


def dense(folder, path, g, **config):
    write_json(folder / path / "config.json", config)
    residual = config.get("use_residual") and config["in_features"] != config["out_features"]
    linear(folder / path / "model.safetensors", config["out_features"], config["in_features"], g, ("linear", "residual") if residual else ("linear",), config["bias"])


# ---- folders: each writes its files and returns what is recorded of it -------------------------------------------------


def weighted_layers(folder, g):
    """T5, whose last hidden state alone is normalised; every sentence module there is."""
    vocab = bert_tokenizer(folder)
    t5 = tf.T5EncoderModel(tf.T5Config(vocab_size=vocab, d_model=24, d_kv=8, d_ff=29, num_layers=2, num_heads=3, dropout_rate=0.0, feed_forward_proj="gated-gelu"))
    t5.config.output_hidden_states = True
    randomise(t5, 31)
    t5.save_pretrained(folder)
    modules(folder, ("", BASE + "transformer.Transformer"), ("1_WeightedLayerPooling", NEW + "weighted_layer_pooling.WeightedLayerPooling"), ("2_Pooling", NEW + "pooling.Pooling"),
            ("3_Dropout", NEW + "dropout.Dropout"), ("4_Dense", BASE + "dense.Dense"), ("5_LayerNorm", NEW + "layer_norm.LayerNorm"), ("6_Dense", BASE + "dense.Dense"), ("7_Normalize", BASE + "normalize.Normalize"))
    write_json(folder / "1_WeightedLayerPooling/config.json", dict(embedding_dimension=24, layer_start=1, num_hidden_layers=2))
    save_file({"layer_weights": torch.tensor([0.7, -0.2])}, str(folder / "1_WeightedLayerPooling/model.safetensors"), metadata={"format": "pt"})
    write_json(folder / "2_Pooling/config.json", old_pooling(24, "mean_tokens", "max_tokens"))
    write_json(folder / "3_Dropout/config.json", dict(dropout=0.3))
    dense(folder, "4_Dense", g, in_features=48, out_features=21, bias=True, activation_function="torch.nn.modules.activation.GELU", use_residual=True)
    write_json(folder / "5_LayerNorm/config.json", dict(dimension=21))
    save_file({"norm.weight": 1 + 0.25 * torch.randn(21, generator=g), "norm.bias": torch.randn(21, generator=g)}, str(folder / "5_LayerNorm/model.safetensors"), metadata={"format": "pt"})
    dense(folder, "6_Dense", g, in_features=21, out_features=18, bias=False, activation_function="someones.code.Swish")  # not run: Tanh
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=30))
    write_json(folder / "config_sentence_transformers.json", dict(truncate_dim=11, prompts={}))
    return ["embeddings"]


def token_dense(folder, g):
    """Modules of tokens before Pooling, of rows after it, one that nothing reads; a card that tells of MatryoshkaLoss."""
    vocab = bert_tokenizer(folder)
    bert = tf.BertModel(tf.BertConfig(vocab_size=vocab, **SIZES), add_pooling_layer=False)
    randomise(bert, 32)
    bert.save_pretrained(folder)
    modules(folder, ("", BASE + "transformer.Transformer"), ("1_WeightedLayerPooling", OLD + "WeightedLayerPooling"), ("2_Dense", BASE + "dense.Dense"), ("3_Normalize", BASE + "normalize.Normalize"),
            ("4_Pooling", NEW + "pooling.Pooling"), ("5_Dense", BASE + "dense.Dense"), ("6_Dense", BASE + "dense.Dense"), ("7_Normalize", BASE + "normalize.Normalize"))
    write_json(folder / "1_WeightedLayerPooling/config.json", dict(word_embedding_dimension=24, layer_start=0, num_hidden_layers=2))  # no output_hidden_states: nothing
    save_file({"layer_weights": torch.tensor([0.7, 0.2, 1.5])}, str(folder / "1_WeightedLayerPooling/model.safetensors"), metadata={"format": "pt"})
    tokens = dict(module_input_name="token_embeddings")
    dense(folder, "2_Dense", g, in_features=24, out_features=17, bias=False, activation_function="torch.nn.modules.activation.SiLU", **tokens)
    write_json(folder / "3_Normalize/config.json", tokens)
    write_json(folder / "4_Pooling/config.json", dict(embedding_dimension=17, pooling_mode=["lasttoken", "mean_sqrt_len_tokens"]))
    dense(folder, "5_Dense", g, in_features=34, out_features=34, bias=True, activation_function="torch.nn.ReLU", use_residual=True)
    dense(folder, "6_Dense", g, in_features=17, out_features=9, bias=True, activation_function="torch.nn.Tanh", **tokens)
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=30))
    (folder / "README.md").write_text('---\ntags:\n- loss:MatryoshkaLoss\n---\n```json\n{\n    "loss": "MultipleNegativesRankingLoss",\n    "matryoshka_dims": [\n        34,\n        16,\n        8\n    ]\n}\n```\n')
    return ["embeddings", "layers"]


def t5_layers(folder, g):
    """A stack with a norm behind the last layer, whichever that is."""
    vocab = bert_tokenizer(folder)
    t5 = tf.T5EncoderModel(tf.T5Config(vocab_size=vocab, d_model=20, d_kv=6, d_ff=23, num_layers=3, num_heads=2, dropout_rate=0.0))
    t5.config.is_matryoshka = True
    randomise(t5, 33)
    t5.save_pretrained(folder)
    modules(folder, ("", BASE + "transformer.Transformer"), ("1_Pooling", NEW + "pooling.Pooling"), ("2_Normalize", BASE + "normalize.Normalize"))
    write_json(folder / "1_Pooling/config.json", old_pooling(20, "mean_tokens"))
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=30))
    return ["embeddings", "layers"]


def masked(kind, folder, seed, **sizes):
    config, model = getattr(tf, kind + "Config"), getattr(tf, kind + "ForMaskedLM")
    mlm = model(config(**sizes)).eval()
    randomise(mlm, seed)
    mlm.tie_weights()
    mlm.save_pretrained(folder)


def splade_bert(folder, g):
    masked("Bert", folder, 41, vocab_size=bert_tokenizer(folder), **SIZES)
    modules(folder, ("", "sentence_transformers.sparse_encoder.models.MLMTransformer"), ("1_SpladePooling", "sentence_transformers.sparse_encoder.models.SpladePooling"))
    write_json(folder / "1_SpladePooling/config.json", dict(pooling_strategy="max", activation_function="relu", word_embedding_dimension=None))
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=30, do_lower_case=False))
    write_json(folder / "config_sentence_transformers.json", dict(model_type="SparseEncoder", prompts={"query": "query: ", "document": ""}, default_prompt_name=None, similarity_fn_name="dot"))
    return ["sparse"]


def splade_distilbert(folder, g):
    """The layout of today, the sum over tokens, two logarithms, and a decoder that is not tied."""
    masked("DistilBert", folder, 42, vocab_size=bert_tokenizer(folder), dim=24, n_heads=3, hidden_dim=29, n_layers=1, max_position_embeddings=40, activation="relu", tie_word_embeddings=False)
    modules(folder, ("", BASE + "transformer.Transformer"), ("1_SpladePooling", "sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling"))
    write_json(folder / "1_SpladePooling/config.json", dict(pooling_strategy="sum", activation_function="log1p_relu", embedding_dimension=None))
    write_json(folder / "sentence_bert_config.json", dict(transformer_task="fill-mask", modality_config={"text": {"method": "forward", "method_output_name": "logits"}}, module_output_name="token_embeddings"))
    write_json(folder / "config_sentence_transformers.json", dict(model_type="SparseEncoder", prompts={}, default_prompt_name=None, similarity_fn_name="dot"))
    return ["sparse"]


def plain(kind, seed, roberta=False, **more):
    def write(folder, g):
        vocab = roberta_tokenizer(folder) if roberta else bert_tokenizer(folder)
        masked(kind, folder, seed, vocab_size=vocab, **SIZES, **more)
        return ["sparse"]

    write.__doc__ = f"A plain folder of {kind}ForMaskedLM."
    return write


def mlm_jina(folder, g):
    """JinaBERT, whose code is its authors', with BERT's head for masked tokens."""
    c = jina_sizes(24, 3, 29, 2, bert_tokenizer(folder), feed_forward_type="geglu") | dict(max_position_embeddings=40)
    save_jina(folder, c, "plain", "JinaBertForMaskedLM", JinaBertMaskedLm(c, "plain", 46).state_dict())
    return ["jina_sparse"]


def bge_m3(folder, g):
    vocab = roberta_tokenizer(folder)
    model = tf.XLMRobertaModel(tf.XLMRobertaConfig(vocab_size=vocab, pad_token_id=0, bos_token_id=2, eos_token_id=3, type_vocab_size=1, **SIZES), add_pooling_layer=False)
    randomise(model, 51)
    model.save_pretrained(folder)
    modules(folder, ("", OLD + "Transformer"), ("1_Pooling", OLD + "Pooling"), ("2_Normalize", OLD + "Normalize"))
    write_json(folder / "1_Pooling/config.json", old_pooling(24, "cls_token"))
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=36, do_lower_case=False))
    linear(folder / "sparse_linear.safetensors", 1, 24, g, ("",), shift=1.0)  # so that special tokens would weigh something
    linear(folder / "colbert_linear.safetensors", 24, 24, g, ("",))
    return ["embeddings", "bge_m3"]


def colbert_stanford(folder, g):
    """The layout of the authors' code."""
    vocab = bert_tokenizer(folder)
    bert = tf.BertModel(tf.BertConfig(vocab_size=vocab, architectures=["HF_ColBERT"], **SIZES), add_pooling_layer=False)
    randomise(bert, 61)
    bert.config.save_pretrained(folder)
    tensors = {"bert." + k: v.contiguous() for k, v in bert.state_dict().items()} | {"linear.weight": torch.randn(12, 24, generator=g) / 5}
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["HF_ColBERT"], "model_type": "bert"}
    write_json(folder / "config.json", config)
    write_json(folder / "artifact.metadata", dict(query_maxlen=14, doc_maxlen=20, mask_punctuation=True, attend_to_mask_tokens=False, query_token_id="[unused0]", doc_token_id="[unused1]", dim=12, similarity="cosine"))
    return ["multi"]


def colbert_pylate(folder, g):
    vocab = bert_tokenizer(folder, added=("[Q] ", "[D] "))
    bert = tf.BertModel(tf.BertConfig(vocab_size=vocab, **SIZES), add_pooling_layer=False)
    randomise(bert, 62)
    bert.save_pretrained(folder)
    modules(folder, ("", OLD + "Transformer"), ("1_Dense", "pylate.models.Dense.Dense"))
    dense(folder, "1_Dense", g, in_features=24, out_features=12, bias=False, activation_function="torch.nn.modules.linear.Identity")
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=16, do_lower_case=False))
    write_json(folder / "config_sentence_transformers.json", dict(model_type="ColBERT", prompts={}, default_prompt_name=None, similarity_fn_name="MaxSim", query_prefix="[Q] ", document_prefix="[D] ", query_length=10,
               document_length=16, attend_to_expansion_tokens=True, skiplist_words=[",", ".", "!", "the"], do_query_expansion=True))
    return ["multi"]


def colbert_saved(folder, g):
    """As sentence-transformers saves it today: prompts are text, queries have at least so many tokens, two projections."""
    vocab = bert_tokenizer(folder)
    bert = tf.BertModel(tf.BertConfig(vocab_size=vocab, **SIZES), add_pooling_layer=False)
    randomise(bert, 63)
    bert.save_pretrained(folder)
    mv = "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"
    modules(folder, ("", BASE + "transformer.Transformer"), ("1_Dense", BASE + "dense.Dense"), ("2_Dense", BASE + "dense.Dense"), ("3_MultiVectorMask", mv), ("4_Normalize", BASE + "normalize.Normalize"))
    tokens = dict(module_input_name="token_embeddings", module_output_name="token_embeddings")
    dense(folder, "1_Dense", g, in_features=24, out_features=20, bias=True, activation_function="torch.nn.modules.activation.GELU", **tokens)
    dense(folder, "2_Dense", g, in_features=20, out_features=20, bias=False, activation_function="torch.nn.modules.linear.Identity", use_residual=True, **tokens)
    write_json(folder / "3_MultiVectorMask/config.json", dict(skiplist_words=["?", "!", "absent"], skiplist_tasks=["query", "document"], keep_only_token_ids=None))
    write_json(folder / "4_Normalize/config.json", tokens)
    write_json(folder / "sentence_bert_config.json", dict(max_seq_length=34, query_length=22, document_length=30, query_expansion=dict(strategy="min", attend=False, token="[unused1]", length=9)))
    write_json(folder / "config_sentence_transformers.json", dict(model_type="MultiVectorEncoder", prompts={"query": "query: ", "document": "document: "}, default_prompt_name=None, similarity_fn_name="maxsim"))
    return ["multi"]


MODERN = dict(pad_token_id=0, cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3)
FOLDERS = dict(weighted_layers=weighted_layers, token_dense=token_dense, t5_layers=t5_layers, splade_bert=splade_bert, splade_distilbert=splade_distilbert,
               mlm_roberta=plain("Roberta", 43, roberta=True, pad_token_id=0, type_vocab_size=1), mlm_mpnet=plain("MPNet", 44, roberta=True, pad_token_id=0), mlm_electra=plain("Electra", 45, embedding_size=10),
               bge_m3=bge_m3, colbert_stanford=colbert_stanford, colbert_pylate=colbert_pylate, colbert_saved=colbert_saved, mlm_jina=mlm_jina,
               mlm_modernbert=plain("ModernBert", 47, local_attention=8, **MODERN), mlm_modernbert_biased=plain(
                   "ModernBert", 48, local_attention=4, norm_bias=True, classifier_bias=True, decoder_bias=False, tie_word_embeddings=False, classifier_activation="relu", norm_eps=1e-3, **MODERN))


# ---- what is recorded ---------------------------------------------------------------------------------------------------


def save(folder, name, rows):
    np.save(folder / f"{name}.npy", torch.stack(list(rows)).float().numpy() if not torch.is_tensor(rows) else rows.float().numpy())


@torch.inference_mode()
def record_embeddings(folder):
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval().double()
    save(folder, "embeddings", [model.encode([t], convert_to_tensor=True, show_progress_bar=False)[0] for t in TEXTS])


@torch.inference_mode()
def record_layers(folder):
    whole = SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval().double()
    encoder = whole[0].model.encoder
    name = "layer" if hasattr(encoder, "layer") else "block"
    layers = getattr(encoder, name)
    for n in range(len(layers)):
        setattr(encoder, name, layers[:n])
        save(folder, f"embeddings.layer.{n}", [whole.encode([t], convert_to_tensor=True, show_progress_bar=False)[0] for t in TEXTS])


@torch.inference_mode()
def record_sparse(folder):
    model = SparseEncoder(str(folder), device="cpu", local_files_only=True).eval().double()
    encode = lambda t, **kw: model.encode([t], convert_to_sparse_tensor=False, convert_to_tensor=True, show_progress_bar=False, **kw)[0]
    save(folder, "sparse", [encode(t) for t in TEXTS])
    if model.prompts.get("query"):
        save(folder, "sparse.query", [encode(t, prompt_name="query") for t in TEXTS])


@torch.inference_mode()
def record_jina_sparse(folder):
    """SPLADE (arXiv:2109.10086, section 2): the largest log(1 + relu(logit)) of any token, of the oracle of make_tiny_jina.py."""
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok.enable_truncation(40)
    model = JinaBertMaskedLm(json.loads((folder / "config.json").read_text()), "plain", 46).double().eval()
    save(folder, "sparse", [torch.log1p(torch.relu(model.logits(torch.tensor([tok.encode(t).ids]))[0])).amax(0) for t in TEXTS])


def save_multi(folder, name, rows):
    save(folder, name, torch.cat(rows))
    write_json(folder / f"{name}.lengths.json", [len(r) for r in rows])


@torch.inference_mode()
def record_multi(folder):
    model = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True).eval().double()
    queries = [model.encode_query([t], show_progress_bar=False)[0] for t in TEXTS]
    documents = [model.encode_document([t], show_progress_bar=False)[0] for t in TEXTS]
    if folder.name == "colbert_stanford":
        check_colbert(folder, queries, documents)
    save_multi(folder, "query", queries)
    save_multi(folder, "document", documents)


def check_colbert(folder, queries, documents):
    """Section 3.2 of the paper, a text at a time: markers, [MASK]s that are not attended to, no rows of punctuation."""
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bert = tf.BertModel.from_pretrained(folder, add_pooling_layer=False).eval().double()
    from safetensors.torch import load_file

    weight = load_file(str(folder / "model.safetensors"))["linear.weight"].double()
    ids = {t: tok.token_to_id(t) for t in BERT_SPECIALS + list(string.punctuation)}
    for text, query, document in zip(TEXTS, queries, documents):
        own = tok.encode(text, add_special_tokens=False).ids
        q = [ids["[CLS]"], ids["[unused0]"], *own[: 14 - 3], ids["[SEP]"]]
        d = [ids["[CLS]"], ids["[unused1]"], *own[: 20 - 3], ids["[SEP]"]]
        mask = [1] * len(q) + [0] * (14 - len(q))
        q += [ids["[MASK]"]] * (14 - len(q))
        keep = torch.tensor([i not in [ids[c] for c in string.punctuation] for i in d])
        for want, row, m in ((query, q, mask), (document, d, [1] * len(d))):
            h = bert(torch.tensor([row]), attention_mask=torch.tensor([m])).last_hidden_state[0]
            got = torch.nn.functional.normalize(h @ weight.T, dim=-1)
            if row is d:
                got = got[keep]
            assert got.shape == want.shape and (got - want).abs().max() < 1e-9, text


@torch.inference_mode()
def record_bge_m3(folder):
    """From the paper: the first token's state, relu(w h + b) with the largest of equal tokens, and all others' states projected."""
    from safetensors.torch import load_file

    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok.enable_truncation(36)
    model = tf.XLMRobertaModel.from_pretrained(folder, add_pooling_layer=False).eval().double()
    sparse, colbert = ({k: v.double() for k, v in load_file(str(folder / f"{n}_linear.safetensors")).items()} for n in ("sparse", "colbert"))
    unweighed = [tok.token_to_id(t) for t in ROBERTA_SPECIALS[:4]]
    rows, vectors = [], []
    for text in TEXTS:
        ids = tok.encode(text).ids
        h = model(torch.tensor([ids])).last_hidden_state[0]
        row = torch.zeros(tok.get_vocab_size(), dtype=torch.float64)
        for i, w in zip(ids, torch.relu(h @ sparse["weight"].T + sparse["bias"])[:, 0]):
            if i not in unweighed:
                row[i] = max(row[i], w)
        rows.append(row)
        vectors.append(torch.nn.functional.normalize(h[1:] @ colbert["weight"].T + colbert["bias"], dim=-1))
    save(folder, "sparse", rows)
    save_multi(folder, "document", vectors)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--out", default=pathlib.Path(__file__).resolve().parent / "heads", type=pathlib.Path)
    p.add_argument("names", nargs="*", help="only these folders")
    a = p.parse_args()
    torch.set_num_threads(1)
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "texts.jsonl").write_text("".join(json.dumps(t) + "\n" for t in TEXTS))
    for i, (name, write) in enumerate(FOLDERS.items()):
        if a.names and name not in a.names:
            continue
        folder = a.out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        seed = 700 + 10 * i
        for what in write(folder, torch.Generator().manual_seed(seed)):
            globals()["record_" + what](folder)
        write_json(folder / "golden.json", dict(command="python make_heads.py", seed=seed, versions=versions("numpy", "torch", "transformers", "sentence-transformers", "tokenizers", "safetensors")))
        print(f"{name:20s} {sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) // 1024} KiB")


if __name__ == "__main__":
    main()
