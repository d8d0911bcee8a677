#!/usr/bin/env python3
"""Are the kernel tests worth something? Breaks the kernels in small ways, one at a time, and says which breaks no test sees.

    python3 tests/mutations.py [WORD...]      only mutations with one of the words in their file or text

Works on a copy of the tree in build/mutations, compiled without optimisation of the tests. A change that survives means a
missing test; each entry of MUTATIONS must compile and change results.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys

from mutations_cuda import CUDA, CUDA_MUTATIONS
from mutations_models import MODEL_MUTATIONS
from mutations_retrieval import RETRIEVAL_MUTATIONS

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "build/mutations"
CPU = "kernels/tessera/cpu/"
NEON_BF16 = CPU + "neon_bf16.hpp"
NO_BUILD = "DOES NOT COMPILE"
PROGRAMS = ("test_ops", "test_models", "test_retrieval", "test_capi", "test_cuda")
FEWER = {CUDA: ("test_cuda",), "include/tessera/retrieval/": ("test_retrieval", "test_capi"), "include/tessera/text/": ("test_text", "test_models", "test_retrieval")}
EMULATED = "tests/bits/neon_fast.sh"
MUTATIONS = [  # file, text, what it becomes
    (CPU + "tile.inl", "k0 == 0 ? set1(0.0f) : load(from + 16 * j)", "set1(0.0f)"),
    (CPU + "tile.inl", "a3[(i - 3) * lda + p]", "a3[(i - 3) * lda + p + (i == 3)]"),
    (CPU + "tile.inl", "part(w + j * stride, p)", "part(w + (j == 3 ? 2 : j) * stride, p)"),
    (CPU + "gemm.inl", "get(g.bias + g.n + column, j)", "get(g.bias + column, j)"),
    (CPU + "gemm.inl", "if (g.channel_scale) v = mul(", "if (g.channel_scale && !g.residual) v = mul("),
    (CPU + "gemm.inl", "g.residual + (row + i) * g.ldr", "g.residual + (row + i) * g.ldc"),
    (CPU + "gemm.inl", "if (g.bias && !active) v = add(", "if (g.bias) v = add("),
    (CPU + "gemm.inl", "store_n(c + j, width - j, v)", "store(c + j, v)"),
    (CPU + "gemm.inl", "index_t width = Whole ? kPanel : g.n - column", "index_t width = kPanel"),
    (CPU + "gemm.inl", "pass.rows * i / tiles", "(pass.rows - (pass.rows > 15)) * i / tiles"),
    (CPU + "gemm.inl", "(g.n - column + kSlice - 1) / kSlice", "(g.n - column) / kSlice"),
    (CPU + "gemm.inl", "args.w = up, ", ""),
    (CPU + "gemm.inl", "pass.sums + at * kPanel", "pass.sums"),
    (CPU + "gemm.inl", "g.sums + (p - first) * kRowBlock * kPanel", "g.sums"),
    (CPU + "gemm.inl", "last = pass.last;", "last = pass.k0 == 0;"),
    (CPU + "gemm.inl", "i < parts ? k * i / parts / how.align * how.align : k", "i < parts ? k * i / parts : k"),
    (CPU + "tile.inl", "begin(i + 1) - from", "begin(i + 1) - from - (i == 1)"),
    (CPU + "tile.inl", "slices - tiles + i", "slices - tiles + i - (i > whole)"),
    (CPU + "gemm.inl", "j < rows ? src[j * ldw + i] : 0.0f", "src[(j < rows ? j : 0) * ldw + i + (j == 5)]"),
    (CPU + "gemm.inl", "i + 16 <= k", "i + 17 <= k + 16"),
    (CPU + "tile.inl", "a += kSteps * k0", "a += k0"),
    (CPU + "tile.inl", "int p = kSteps - 1; p >= 0; --p", "int p = 0; p < kSteps; ++p"),
    (CPU + "gemm.inl", "i * how.rows : pass.rows", "i * how.rows : pass.rows - (pass.rows > 40)"),
    (CPU + "gemm.inl", "to.allowed[column / kPanel]", "to.allowed[0]"),
    (CPU + "gemm.inl", "keep_found(to, r, found & open,", "keep_found(to, r, found,"),
    (CPU + "hamming.inl", "kByteSums = 31;", "kByteSums = 32;"),
    (CPU + "hamming.inl", "(j + 1 < g.bytes ? 0xff : g.last_mask)", "0xff"),
    (CPU + "hamming.inl", "0x1p-149f", "0x1p-126f"),
    ("include/tessera/ops/hamming-inl.hpp", "panel[(bytes - 1) * kPanel + r] &= last_bits(e);", ""),
    (CPU + "gemm.inl", "(std::uint64_t{1} << width) - 1", "~std::uint64_t{0}"),
    (CPU + "gemm.inl", "width - j, 0.0f));\n      store(x + j, v);", "width - j, 0.0f));"),
    ("kernels/tessera/tables/gemm.hpp", "score + 0.0f", "score"),
    ("kernels/tessera/tables/gemm.hpp", "bits >> 31 ? ~bits : bits | 0x80000000U", "bits | 0x80000000U"),
    ("kernels/tessera/tables/gemm.hpp", "(0xffffffffU - static_cast<std::uint32_t>(column))", "static_cast<std::uint32_t>(column)"),
    ("include/tessera/ops/topk-inl.hpp", "keys + (k - 1), keys + count", "keys + k, keys + count"),
    ("include/tessera/ops/topk-inl.hpp", "index_t i = b; i < lanes * batch", "index_t i = b; i < (lanes + 1) / 2 * batch"),
    ("include/tessera/ops/topk-inl.hpp", "score_of(key) >= floor", "score_of(key) > floor"),
    (CPU + "gemm.inl", "if (to.slack) v = add(", "if (to.slack && j > 0) v = add("),
    (CPU + "norm.inl", "return fma(x, y, sums);", "return add(mul(x, y), sums);"),
    ("include/tessera/ops/certified_topk-inl.hpp", "slack[b] = not_below(reach);", "slack[b] = not_below(reach / 16);"),
    ("include/tessera/ops/certified_topk-inl.hpp", "(ratio + 2 * rounding)", "(0 * ratio + 2 * rounding)"),
    ("include/tessera/ops/certified_topk-inl.hpp", "(1 + rounding)", "rounding"),
    ("include/tessera/ops/certified_topk-inl.hpp", "const double width = 2 *", "const double width = 0 *"),
    ("include/tessera/ops/certified_topk-inl.hpp", "- 0x1p-20 * (std::fabs(u)", "+ 0x1p-10 * (std::fabs(u)"),
    ("include/tessera/ops/certified_topk-inl.hpp", "most > 1e-20 && most < 1e36", "most > 1e-20"),
    ("include/tessera/ops/certified_topk-inl.hpp", "== at) steps +=", "== at + 1) steps +="),
    ("include/tessera/ops/certified_topk-inl.hpp", "if (allowed.data && !(allowed", "if (allowed.data && (allowed"),
    ("include/tessera/ops/certified_topk-inl.hpp", "if (s >= options.least) to[found++]", "to[found++]"),
    (CPU + "gemm.inl", "to.begins[middle + 1] > column", "to.begins[middle] > column"),
    (CPU + "gemm.inl", "begin > column ? begin : column", "column"),
    (CPU + "gemm.inl", "load_n(x + j, n - j, most), top)", "load(x + j), top)"),
    (CPU + "gemm.inl", "if (to.place && found > most)", "if (to.place && found >= most)"),
    (CPU + "gemm.inl", "from - begin + j", "j"),
    (CPU + "gemm.inl", "* to.groups + group];", "* to.groups + group - (group == 3)];"),
    ("include/tessera/ops/maxsim-inl.hpp", "(end + kernels::kPanel - 1) / kernels::kPanel", "end / kernels::kPanel"),
    ("include/tessera/ops/maxsim-inl.hpp", "next - job.document(first) >= kMaxSimDocuments ||", ""),
    ("include/tessera/ops/maxsim-inl.hpp", "b > a && !argmax.data", "b > a"),
    ("include/tessera/ops/maxsim-inl.hpp", "!job.open(next) || ", ""),
    ("include/tessera/ops/maxsim-inl.hpp", "candidates.ids(p) < 0 || ", ""),
    ("include/tessera/ops/maxsim-inl.hpp", "if (found >= list.floors[b])\n", "if (found > list.floors[b])\n"),
    (CPU + "residual.inl", "count % (1 << b) == 0", "count % (2 << b) == 0"),
    (CPU + "residual.inl", "~static_cast<unsigned>(not_less(set1(g.cutoffs[count - 1]), rest))", "static_cast<unsigned>(not_less(rest, set1(g.cutoffs[count - 1])))"),
    (CPU + "residual.inl", "(planes[b] >> (i + v) & 1U)", "(planes[g.bits - 1 - b] >> (i + v) & 1U)"),
    (CPU + "residual.inl", "add(load_n(centroid + j", "sub(load_n(centroid + j"),
    (CPU + "residual.inl", "peaks[ids[i]] >= least", "peaks[ids[i]] > least"),
    (CPU + "residual.inl", "j + 16 < width ? j + 16 : j", "j"),
    ("include/tessera/ops/kmeans-inl.hpp", "fa != fb ? fa < fb : a < b", "a < b"),
    ("include/tessera/ops/kmeans-inl.hpp", "lost[at] = most == 0", "lost[at] = false"),
    ("include/tessera/ops/kmeans-inl.hpp", "moved[j] = at(i);", ""),
    ("include/tessera/ops/residual-inl.hpp", "share + 0.5 / static_cast<double>(buckets)", "share"),
    ("include/tessera/ops/residual-inl.hpp", "static_cast<index_t>(most) >= centroids", "static_cast<index_t>(most) > centroids"),
    ("include/tessera/ops/residual-inl.hpp", "(high - low) * (place - below)", "(high - low) * 0"),
    ("include/tessera/ops/splade-inl.hpp", "row + cu(b), cu(b + 1) - cu(b)", "row + cu(0), cu(b + 1) - cu(b)"),
    ("include/tessera/ops/splade-inl.hpp", "return twice ? log_one_plus(w) : w;", "return w;"),
    ("include/tessera/ops/splade-inl.hpp", "finite[static_cast<std::size_t>(b)] = false;", ""),
    ("include/tessera/ops/splade-inl.hpp", "bias.data ? bias(v) : 0.f", "bias.data ? bias(v - v0) : 0.f"),
    ("include/tessera/ops/detail/exact_math.hpp", "if (x > 0.25) return logarithm(1 + x);", "return logarithm(1 + x);"),
    (CPU + "bf16.inl", "saved_ | 0x8040", "saved_ | 0x8000"),
    (CPU + "bf16.inl", "saved_ | 0x8040", "saved_ | 0x0040"),
    (CPU + "bf16.inl", "i == 1 ? second_of_pairs", "i == 0 ? second_of_pairs"),
    (CPU + "bf16.inl", "round_bf16(if_less(abs(v), least, mul(v, zero), v))", "if_less(abs(v), least, mul(v, zero), v)"),
    (CPU + "bf16.inl", "if_less(abs(v), least, mul(v, zero), v)", "if_less(abs(v), zero, mul(v, least), v)"),
    (CPU + "gemm.inl", "to.begin != begin || to.end != end", "to.end < end"),
    (CPU + "bf16.inl", "j < rows && c < depth", "j < rows && i + c <= k"),
    (CPU + "bf16.inl", "Swapped ? swap_pairs(rounded) : rounded", "rounded"),
    (CPU + "bf16.inl", "store(to + kSlice, first_of_pairs(word));", "store(to + kSlice, word);"),
    (CPU + "gemm.inl", "static_cast<const float*>(to) - kSlice * how.lines * pass.k0", "static_cast<const float*>(to)"),
    (CPU + "gemm.inl", "room + (room ? kPanel * how.lines * depth : 0)", "room"),
    (CPU + "gemm.inl", "j * stride + kSlice * pass.k0, depth", "j * stride, depth"),
    (CPU + "attention.inl", "store(to, second), store(to + kSlice, first);", "store(to, first), store(to + kSlice, second);"),
    (CPU + "attention.inl", "tk - s * kSlice, d, 0, 1, narrow", "tk, d, 0, 1, narrow"),
    (CPU + "attention.inl", "store(to, first ? none : load(both))", "store(to, load(both))"),
    (CPU + "attention.inl", "store(to + kSlice, first ? load(both + kSlice) : none)", "store(to + kSlice, load(both + kSlice))"),
    (CPU + "bf16.inl", "s * ((k + 1) / 2) * kSlice", "s * (k / 2) * kSlice"),
    (CPU + "simd_avx2.inl", "_mm256_set1_epi32(0x7fff)", "_mm256_set1_epi32(0x8000)"),
    (CPU + "simd_avx512.inl", "_mm512_set1_epi32(0x7fff)", "_mm512_set1_epi32(0x8000)"),
    (CPU + "simd_avx512.inl", "_mm512_mask_or_epi32(up, _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), u, ", "_mm512_mask_or_epi32(up, 0, u, "),
    (CPU + "avx512_bf16_vnni.hpp", "reinterpret_cast<__m256i*>(to(i))", "reinterpret_cast<__m256i*>(to(i / 32 * 32))"),
    (CPU + "amx.hpp", "g.k1 - k < kAlign", "g.k1 - k < 1"),
    (CPU + "amx.hpp", "i < all.ld * Kind::kNumbers", "i < 0"),
    (CPU + "amx.hpp", "if (rows > 16)", "if (rows > 17)"),
    (CPU + "amx.hpp", "kAlign = 16", "kAlign = 1"),
    (CPU + "gemm.inl", "if (of[i].excess == 0) continue;", "if (of[i].excess <= 0) continue;"),
    (CPU + "gemm.inl", "words * j), of[i].outlier % 4)", "words * j), of[i].outlier % 4 ^ 1)"),
    (CPU + "gemm.inl", "-of[i].zero, sum", "-of[i].zero + (i == 5), sum"),
    (CPU + "gemm.inl", "slices, of, heads + size", "slices, of, heads"),
    (CPU + "gemm.inl", "g.bias && j < width", "g.bias && j + 16 < width"),
    (CPU + "gemm.inl", "if (up_outliers.count > 0)", "if (up_outliers.count > 64)"),
    (CPU + "gemm.inl", "- r.zero + apart)", "- r.zero - apart)"),
    (CPU + "gemm.inl", "r.outlier == of[c].place ? r.excess : 0", "r.outlier <= of[c].place ? r.excess : 0"),
    (CPU + "gemm.inl", "pass.a.rounding + at", "pass.a.rounding"),
    (CPU + "gemm.inl", "kSlice * s + j, 0, 0", "j, 0, 0"),
    (CPU + "int8.inl", "second = max(min(v, first), second);\n", "second = max(first, second);\n"),
    (CPU + "int8.inl", "next = b[i] > below ? b[i] : below", "next = below"),
    (CPU + "int8.inl", "odd = fma(v, zero, odd)", "odd = zero"),
    (CPU + "int8.inl", "if_less(lanes, set1(one), lanes, zero)", "lanes"),
    (CPU + "int8.inl", "without_largest() * kMuchWider < all || ", ""),
    (CPU + "int8.inl", "|| without_least() * kMuchWider < all;", ";"),
    (CPU + "int8.inl", "most = max(v, most), least = min(v, least)", "most = max(v, most)"),
    (CPU + "int8.inl", "e.largest - e.second_largest >= e.second_least - e.least", "e.largest >= -e.least"),
    (CPU + "int8.inl", "rest < least_step ? least_step : rest", "rest < least_step ? rest : rest"),
    (CPU + "int8.inl", "rest < least_range ? least_range : rest", "rest < least_range ? rest : rest"),
    (CPU + "int8.inl", "rest * kMuchWider < all && rest >= kAsGoodAsZero", "rest * kMuchWider < all"),
    (CPU + "int8.inl", "kMuchWider = 1.125f", "kMuchWider = 1.3f"),
    (CPU + "int8.inl", "kOfWeights = 5.0f / 3", "kOfWeights = 1.9f"),
    (CPU + "int8.inl", "apart && !up ? e.second_least : e.least", "e.least"),
    (CPU + "int8.inl", "(kToInteger - least * inverse) - kToInteger", "-least * inverse"),
    (CPU + "int8.inl", "kToInteger + zero), top), bottom)", "kToInteger + zero), top), set1(0.0f))"),
    (CPU + "int8.inl", "static_cast<std::int32_t>(q) - (up ? 255 : 0)", "static_cast<std::int32_t>(q) - 255"),
    (CPU + "int8.inl", "static_cast<std::int32_t>(q) - (up ? 127 : -127)", "static_cast<std::int32_t>(q) - 127"),
    (CPU + "int8.inl", "Largest ? if_less(v, e, from, at)", "true ? if_less(v, e, from, at)"),
    (CPU + "int8.inl", "while (lane < 15 && lanes[lane] < 0)", "while (lane < 7 && lanes[lane] < 0)"),
    (CPU + "int8.inl", "(k % 2 * 2 + k / 2 % 2) % 4", "k % 4"),
    (CPU + "int8.inl", "j < rows && at < k ? load_n", "j < rows ? load_n"),
    (CPU + "int8.inl", "words - i < kWords ? words - i : kWords", "kWords"),
    (CPU + "int8.inl", "static_cast<double>(k) / 12", "static_cast<double>(k) / 9"),
    (CPU + "simd_avx512.inl", "p == 1 ? w : _mm512_slli_epi16(w, 8), 8", "p == 0 ? w : _mm512_slli_epi16(w, 8), 8"),
    (CPU + "simd_avx512.inl", "_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15)", "_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15)"),
    (CPU + "simd_avx2.inl", "_mm256_packus_epi32", "_mm256_packs_epi32"),
    (CPU + "simd_lanes.inl", "x -= __builtin_bit_cast(std::uint32_t, 0x1.8p23f)", "x &= 0x7f"),
    (CPU + "amx.hpp", "place_of(a, row, k)) + k % 4", "place_of(a, row, k))"),
    (CPU + "amx.hpp", "row % 16 * kAlign", "row % 8 * kAlign"),
    ("include/tessera/ops/gemm-inl.hpp", "int8_rounding(ctx, made) > static_cast<double>(first.most_rounding)", "int8_rounding(ctx, made) > 1"),
    ("include/tessera/ops/gemm-inl.hpp", "first.packed == DType::i8 && k > kernels::kInt8MostK", "first.packed == DType::i8 && k > 2 * kernels::kInt8MostK"),
    ("include/tessera/ops/detail/product.hpp", "rounding + i * held", "rounding"),
    ("include/tessera/ops/patch-inl.hpp", "rounded[lane].begin = rounded[lane].end = 0, ", ""),
    ("include/tessera/ops/gemm-inl.hpp", "k && may_be && found.gated()", "k && found.gated()"),
    (CPU + "math.inl", "if_less(x, set1(-126.0f), set1(0.0f), ", "if_less(x, set1(-125.0f), set1(0.0f), "),
    (CPU + "math.inl", "set1(0.05550329014658928f)", "set1(0.05551f)"),
    (CPU + "math.inl", "if_less(x, set1(0.0f), mul(e, s), s)", "if_less(x, set1(-1.0f), mul(e, s), s)"),
    (CPU + "math.inl", "max(min(v, set1(top)), set1(-top))", "min(v, set1(top))"),
    (CPU + "math.inl", "x, x, 4.947999f", "x, x, 4.5f"),
    (CPU + "math.inl", "0.030557156f", "0.03056f"),
    (CPU + "math.inl", "set1(1.702f)", "set1(1.7f)"),
    (CPU + "math.inl", "if_ordered(x, x, max(x, set1(0.0f)), x)", "max(x, set1(0.0f))"),
    (CPU + "math.inl", "abs(x), set1(0.6f)", "abs(x), set1(0.9f)"),
    (CPU + "math.inl", "n - i < 256 ? n - i : 256", "n - i < 240 ? n - i : 240"),
    (CPU + "norm.inl", "/ count + g.eps", "/ count"),
    (CPU + "norm.inl", "how.get(x + j, mean1), mean", "how.get(x + j, 0.0f), mean"),
    (CPU + "norm.inl", "sum_of_squares(x, g.c) / static_cast<float>(g.c) + g.eps", "sum_of_squares(x, g.c) / static_cast<float>(g.c)"),
    (CPU + "norm.inl", "norm < g.eps ? g.eps : norm", "norm"),
    (CPU + "norm.inl", "j + 32 <= end; j += 32", "j + 32 < end; j += 48"),
    (CPU + "norm.inl", "rows + i * ld", "rows + i * (ld > c ? c : ld)"),
    (CPU + "attention.inl", "&& own - g.window_left > 0) lo = own - g.window_left", "&& own - g.window_left > 0) lo = own - g.window_left + 1"),
    (CPU + "attention.inl", "hi = own + g.window_right + 1;", "hi = own + g.window_right;"),
    (CPU + "attention.inl", "if (g.causal && own + 1 < hi) hi = own + 1", "if (g.causal && own < hi) hi = own + 1 < g.tk ? own + 2 : g.tk"),
    (CPU + "attention.inl", "shift = g.tk - g.tq", "shift = 0"),
    (CPU + "attention.inl", "for (index_t e = j; e < lo; ++e) s[e] = low;", ""),
    (CPU + "attention.inl", "load_n(s + j, hi - j, -__builtin_inff())", "load(s + j)"),
    (CPU + "attention.inl", "g.scale != 0.0f ? g.scale : ", ""),
    (CPU + "attention.inl", "from > 0 ? 0 : common == g.tk", "common == g.tk"),
    (CPU + "attention.inl", "done < hi[i])", "done + 1 < hi[i])"),
    (CPU + "attention.inl", "shared > 0 ? shared * how.numbers : lo[i]", "shared > 0 ? shared : lo[i]"),
    (CPU + "attention.inl", "if (lo % n != 0) half(begin - 1, false);", ""),
    (CPU + "attention.inl", "if (hi % n != 0 && hi < tk) half(end, true);", ""),
    (CPU + "attention.inl", "first ? pairs_of(first_of_pairs(load(both)), none)", "!first ? pairs_of(first_of_pairs(load(both)), none)"),
    (CPU + "attention.inl", "hi == tk ? (tk + n - 1) / n : hi / n", "(hi + n - 1) / n"),
    (CPU + "attention.inl", "2 * i + 1 < tk ? load_n(", "2 * i + 1 <= tk ? load_n("),
    (CPU + "attention.inl", "store(to, pairs_of(first, second));", "store(to, pairs_of(second, first));"),
    (CPU + "attention.inl", "lda(how.round_row ? ld_room : ld)", "lda(ld)"),
    (CPU + "attention.inl", "hi[i] > lo[i] ? mul(load(", "hi[i] >= lo[i] ? mul(load("),
    (CPU + "attention.inl", "dst + line * i + how.lines * words * j", "dst + line * i + how.lines * 16 * j"),
    (CPU + "attention.inl", "set1(1.0f / sum[i])", "set1(1.0f / (sum[i] + 1e-4f))"),
    (CPU + "attention.inl", "load_n(weights + j, hi - j, 0.0f)", "load_n(weights, hi - j, 0.0f)"),
    (CPU + "attention.inl", "if (Weighted) v = mul(v, load(weights + j));", ""),
    (CPU + "attention.inl", "if (j < lo || j >= hi) p[j] = 0.0f", "if (j >= hi) p[j] = 0.0f"),
    (CPU + "attention.inl", "mul(load_n(s + j, hi - j, 0.0f), share)", "load_n(s + j, hi - j, 0.0f)"),
    (CPU + "embed.inl", "g.segments ? g.segments[t] : 0", "0"),
    (CPU + "embed.inl", "weights ? weights[i] : static_cast<float>(i + 1)), v)", "static_cast<float>(i + 1)), v)"),
    (CPU + "embed.inl", "if_ordered(v, w, max(w, v), add(v, w))", "max(w, v)"),
    (CPU + "embed.inl", "(t - 1) * ldx", "(t - 1) * c"),
    (CPU + "embed.inl", "if (mode == Pooling::mean_sqrt) total = sqrt1(total);", ""),
    (CPU + "embed.inl", "load_n(rows[i] + j, c - j, 0.0f)", "load_n(rows[0] + j, c - j, 0.0f)"),
    (CPU + "merge.inl", "load_n(p + h * head, d - j, 0.0f)", "load_n(p + (h - 1) * head, d - j, 0.0f)"),
    (CPU + "merge.inl", "if (!(top > score[m])) return;", "if (!(top >= score[m])) return;"),
    (CPU + "merge.inl", "static_cast<std::int32_t>(first + j)", "static_cast<std::int32_t>(first / 2 + j)"),
    (CPU + "merge.inl", "g.b + j * g.d", "g.b + j"),
    (CPU + "merge.inl", "first == 0 ? zero : load(kept)", "zero"),
    (CPU + "merge.inl", "if_less(y, zero, below, y)", "if_less(y, zero, mul(below, below), y)"),
    (CPU + "merge.inl", "size += weight(i)", "size += 1.0f"),
    (CPU + "merge.inl", "if (weighted) v = mul(v, set1(first));", ""),
    (CPU + "merge.inl", "if_ordered(v, w, max(w, v), add(v, w));  // a NaN stays", "max(w, v);"),
    (CPU + "merge.inl", "mode == MergeMode::keep || n == 1", "mode == MergeMode::keep"),
    (CPU + "merge.inl", "if (!(other <= largest)) largest = other;", "largest = other;"),
    (CPU + "merge.inl", "set1(norm > 0.0f ? norm : 1.0f)", "set1(norm)"),
    (CPU + "merge.inl", "return weights ? weights[members[i]] : 1.0f", "return weights ? weights[i] : 1.0f"),
    (CPU + "resample.inl", "j + 1 < taps ? a + g.ld_in : a;", "a;"),
    (CPU + "resample.inl", "shift_left<15>(high)", "shift_left<14>(high)"),
    (CPU + "resample.inl", "x + 16 <= n ? x : n - 16", "x"),
    (CPU + "resample.inl", "y + r < y1 ? y + r : y1 - 1", "y"),
    (CPU + "resample.inl", "{1} << (g.shift - 1)) / (16 / p)", "{1} << (g.shift - 1)) / 4"),
    (CPU + "resample.inl", "horizontal_pixel<C, kHigh, C>(g, last", "horizontal_pixel<C, kHigh, 4>(g, last"),
    (CPU + "resample.inl", "1 + (n - 1) / 4 * 4", "1"),
    (CPU + "resample.inl", "set1(weights[0])", "set1(weights[n > 1])"),
    (CPU + "resample.inl", "i < n; ++i) v = fma(load_n(rows[i] + j", "i < n; ++i) v = fma(load_n(rows[i - 1] + j"),
    (CPU + "rotary.inl", "sub(mul(a, c), mul(b, s))", "add(mul(a, c), mul(b, s))"),
    (CPU + "rotary.inl", "b = add(mul(b, c), mul(a, s))", "b = add(mul(b, c), mul(b, s))"),
    (CPU + "rotary.inl", "if (place < 0) continue;", "if (place < 0) return;"),
    (CPU + "rotary.inl", "g.sin + place * g.ld_sin + j", "g.sin + place * g.ld_cos + j"),
    (CPU + "rotary.inl", "store_n(x + j, n, a)", "store(x + j, a)"),
    (CPU + "rotary.inl", "float* pairs = x + 2 * j", "float* pairs = x + j"),
    (CPU + "rotary.inl", "g.places ? g.places[t] : t", "t"),
    (CPU + "rotary.inl", "t * g.ldx + h * g.ld_head", "t * g.ldx + h * 2 * g.half"),
    ("include/tessera/ops/gemm-inl.hpp", "widen_rows(parts[i], 0, parts[i].extent[0], at)", "widen_rows(parts[0], 0, parts[i].extent[0], at)"),
    ("include/tessera/ops/gemm-inl.hpp", "w.data + r * w.row_bytes()", "w.data + (r - begin) * w.row_bytes()"),
    ("include/tessera/ops/gemm-inl.hpp", "found.bytes() == slice_bytes(", "1 + found.bytes() != slice_bytes("),
    ("include/tessera/ops/gemm-inl.hpp", "if (end % kPanel != 0) __builtin_memset(", "if (end < 0) __builtin_memset("),
    ("include/tessera/ops/block-inl.hpp", "if (w.k_norm.data) rms_norm_heads", "if (w.k_norm.data && c.kv_heads > 2) rms_norm_heads"),
    ("include/tessera/ops/rotary_scaling-inl.hpp", "own / s.factor * ramp + own * (1 - ramp)", "own / s.factor"),
    (CPU + "attention.inl", "left = capped ? 1.0f : scale", "left = scale"),
    (CPU + "attention.inl", "first = row < first ? row : first;", "first = row;"),
    (CPU + "attention.inl", "last = row > last ? row : last;", ""),
    (CPU + "attention.inl", "before = g.places ? apart : g.tk - 1, after = g.places ? apart : g.tq - 1", "before = g.tk - 1, after = g.tq - 1"),
    (CPU + "attention.inl", "g.position_queries + at.first * g.ld_position_queries", "g.position_queries"),
    (CPU + "attention.inl", "g.position_keys + at.first * g.ld_position_keys, g.ld_position_keys", "g.position_keys + at.first * g.ld_position_keys, g.ld_position_queries"),
    (CPU + "attention.inl", "g.k + j * g.ldk, g.ldk, rows, g.d", "g.k + j * g.ldk, g.ldk, 1, g.d"),
    (CPU + "attention.inl", "by_key[(j + i) * ld + row]", "by_key[j * ld + row]"),
    (CPU + "attention.inl", "by_query + i * room.ld_position", "by_query"),
    (CPU + "attention.inl", "index_t{g.places[j + i]} - g.places[own] : j + i - own", "j + i - own : j + i - own"),
    ("include/tessera/ops/attention-inl.hpp", "h * p.position_queries.stride[1]", "0 * p.position_queries.stride[1]"),
    ("include/tessera/ops/position_rows-inl.hpp", "std::ceil(log_of", "std::floor(log_of"),
    ("include/tessera/ops/position_rows-inl.hpp", "log_of(log_distance - 1)", "log_of(log_distance)"),
    ("include/tessera/ops/position_rows-inl.hpp", "distance < 0 ? step : -step", "distance < 0 ? -step : step"),
    (CPU + "norm.inl", "Add ? add(how.get(y + j, 0.0f), unit) : unit", "unit"),
    (CPU + "norm.inl", "Add ? add(how.get(y + j, 0.0f), v) : v", "v"),
    ("include/tessera/ops/distance_bias-inl.hpp", "2 * (head - power) + 1", "2 * (head - power) + 2"),
    ("include/tessera/ops/distance_bias-inl.hpp", "out(h, most + d) = out(h, most - d) = slope", "out(h, most + d) = 0, out(h, most - d) = slope"),
    ("include/tessera/ops/block-inl.hpp", "heads.extent[1] * heads.extent[2]", "heads.extent[2]"),
    ("include/tessera/ops/block-inl.hpp", "block_norm(ctx, c, w.attention_outer_norm, x, x);", ""),
    (CPU + "embed.inl", "mul(v, set1(g.scale))", "v"),
    (CPU + "gemm.inl", "if (o.place >= 0 && o.place < 4 * (words - kInt8Head)) ", ""),
    ("include/tessera/ops/certified_topk-inl.hpp", "if (!(error(r) >= 0 && length(r) >= 0))", "if (false)"),
    ("include/tessera/ops/stack_rows-inl.hpp", "r / lanes * group + r % lanes * size;\n      std::byte* const dst", "r / lanes * group;\n      std::byte* const dst"),
    ("capi/capi.cpp", "not_negative(from->max_length, \"max_length\")", "from->max_length"),
    ("capi/capi.cpp", "if (out_size != product(count, dim, \"out\"))", "if (out_size < product(count, dim, \"out\"))"),
    ("capi/capi.cpp", "if (allowed && words.size() !=", "if (words.size() > 0 && words.size() !="),
    ("capi/capi.cpp", "static_cast<index_t>(b) * e.dim", "0 * e.dim"),
    ("include/tessera/text/words.hpp", "word.empty() ? kL | kN : kL | kN | kM", "kL | kN | kM"),
    ("include/tessera/text/tokenizer-inl.hpp", "type_ids.insert(type_ids.end(), part.size(), p.type_id)", "type_ids.insert(type_ids.end(), part.size(), 0)"),
    ("include/tessera/text/encoding-inl.hpp", "n1 = most / 2, n2 = n1 + most % 2", "n2 = most / 2, n1 = n2 + most % 2"),
    ("include/tessera/ops/topk-inl.hpp", "allowed(past - 1) == 0) --past;", "past - first > 1) --past;"),
    ("include/tessera/ops/detail/gathered_rows.hpp", "if (into.slack_of) into.slack_of = slack_;", ""),
    ("include/tessera/ops/detail/gathered_rows.hpp", "bias_[count_] = of.bias[row]", "bias_[count_] = of.bias[0]"),
    ("include/tessera/ops/detail/gathered_rows.hpp", "allowed & ((std::uint64_t{1} << left) - 1)", "allowed"),
    ("include/tessera/ops/detail/gathered_rows.hpp", "source + i * kSlice, sizeof *to", "source + (i > 0 ? i : 1) * kSlice, sizeof *to"),
    ("include/tessera/ops/range_search-inl.hpp", "put(to, key, query), put(at, other, other_query);", "put(to, key, query);"),
    ("include/tessera/ops/range_search-inl.hpp", "at + i < capacity", "at + i + 1 < capacity"),
    ("include/tessera/ops/range_search-inl.hpp", "if (!unbounded(query)) rescore", "rescore"),
    ("include/tessera/ops/range_search-inl.hpp", "if (!unbounded(b)) continue;", "if (true) continue;"),
    ("include/tessera/ops/range_search-inl.hpp", "lists.take_rest(ctx);", ""),
    ("include/tessera/ops/certified_topk-inl.hpp", "r |= 63;\n        continue;", "r |= 127;\n        continue;"),
    ("include/tessera/ops/detail/product.hpp", "return w.stored_k() == w.k() ? 0", "return true ? 0"),
    ("include/tessera/ops/similarity-inl.hpp", "so_far = product)", "so_far = at(m))"),
    ("include/tessera/ops/similarity-inl.hpp", "if (ids(b, i + j) < 0)", "if (false)"),
    ("include/tessera/ops/row_filter.hpp", "- 1) << (r % 64)", "- 1)"),
    ("include/tessera/ops/pairwise-inl.hpp", "a.slice(row, row + to.extent[0])", "a.slice(0, to.extent[0])"),
    (CPU + "norm.inl", "return fma(d, d, sums);", "return add(mul(d, d), sums);"),
    (CPU + "gemm.inl", "to.ids ? index_t{to.ids[column + j]} : column + j", "column + j"),
    (NEON_BF16, "vld1q_f32(second + 2 * j)", "vld1q_f32(w + 2 * j)"),
    (NEON_BF16, "g.lda, w, kNothing)", "g.lda, w, w + kSlice)"),
    (NEON_BF16, "row % 2 * kAlign", "row % 2 * 2 * kAlign"),
    (NEON_BF16, "half % 2 == 0 ? kHalf : g.stride - kHalf", "kHalf"),
    (NEON_BF16, "vcombine_f32(vget_high_f32(a), vget_high_f32(b))", "vcombine_f32(vget_high_f32(b), vget_high_f32(a))"),
    (NEON_BF16, "from_zero = g.k0 == 0", "from_zero = true"),
    (NEON_BF16, "g.a + 2 * g.k0", "g.a + g.k0"),
    (NEON_BF16, ".balanced = false", ".balanced = true"),
    (NEON_BF16, ".align = kAlign", ".align = 1"),
]  # fmt: skip
MUTATIONS += MODEL_MUTATIONS + RETRIEVAL_MUTATIONS + CUDA_MUTATIONS


def run(*command):
    return subprocess.run(command, cwd=COPY, capture_output=True, text=True)


def tests_of(name):
    """What runs where this file is broken: programs, or a script."""
    return EMULATED if name == NEON_BF16 else next((tests for folder, tests in FEWER.items() if name.startswith(folder)), PROGRAMS)


def failure_of(done):
    """Which test of a program fails, or None."""
    failed = [line.split("]")[1].split("(")[0].strip() for line in done.stdout.splitlines() if "FAILED  ]" in line]
    return None if done.returncode == 0 else failed[0] if failed else f"signal {-done.returncode}"


def seen(tests):
    """Which test fails, NO_BUILD, or None."""
    if tests == EMULATED:
        done = run("bash", EMULATED)
        return failure_of(done) if "[ RUN      ]" in done.stdout else NO_BUILD
    if run("cmake", "--build", "build", "--target", *tests).returncode:
        return NO_BUILD
    results = (failure_of(run(f"build/tests/{program}", "--gtest_brief=1", "--gtest_filter=-MiniLM*")) for program in tests)
    return next((why for why in results if why), None)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("words", nargs="*")
    words = p.parse_args().words
    chosen = [m for m in MUTATIONS if not words or any(w in m[0] or w in m[1] for w in words)]
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        (COPY / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, COPY / name)
    done = run("cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DTESSERA_BUILD_BENCH=OFF", "-DTESSERA_BUILD_EXAMPLES=OFF",
               "-DTESSERA_WERROR=OFF")  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    for tests in {tests_of(m[0]) for m in chosen}:
        if why := seen(tests):
            sys.exit(f"without any mutation: {why}")
    survivors = 0
    for number, (name, old, new) in enumerate(chosen, 1):
        path = COPY / name
        text = path.read_text()
        if text.count(old) == 0:
            sys.exit(f"{name} has no '{old}'")
        path.write_text(text.replace(old, new))
        why = seen(tests_of(name))
        path.write_text(text)
        survivors += why in (None, NO_BUILD)  # what does not compile shows nothing about the tests
        print(f"{number}/{len(chosen)} {name.split('/')[-1]}: {old}  ->  {new or 'nothing'}: {why or 'SURVIVES'}", flush=True)
    print(f"{survivors} of {len(chosen)} mutations survive or do not compile")
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
