#pragma once
#include <tessera/text/regex.hpp>
#include <tessera/text/regex_parser.hpp>

namespace tessera::text {

inline bool Regex::Set::contains(unicode::CodePoint c) const noexcept {
  if (c < 0x10000) return (low[c >> 6] >> (c & 63) & 1) != 0;
  const auto at =
      std::upper_bound(high.begin(), high.end(), c, [](unicode::CodePoint x, const auto& r) { return x < r.first; });
  return at != high.begin() && std::prev(at)->second >= c;
}

/// From the parsed tree to a program.
class RegexCompiler {
 public:
  explicit RegexCompiler(Regex& out) : out_(out) {}

  void run(std::string_view pattern) {
    detail::RegexParser parser(pattern);
    const int root = parser.parse();
    nodes_ = &parser.nodes();
    out_.pattern_ = pattern;
    for (const unicode::CodeSet& s : parser.sets()) out_.sets_.push_back(table(s));
    out_.word_ = static_cast<std::uint32_t>(out_.sets_.size());
    unicode::CodeSet word;
    detail::named_set("\\w", true, word);
    out_.sets_.push_back(table(word));
    emit(root);
    push({.op = Regex::Op::match});
    out_.find_first_bytes();
  }

 private:
  using Op = Regex::Op;
  using Node = detail::RegexNode;
  static Regex::Set table(const unicode::CodeSet& s) {
    Regex::Set t;
    t.low.resize(0x10000 / 64);
    for (const auto& [first, last] : s.ranges()) {
      for (unicode::CodePoint c = first; c <= last && c < 0x10000; ++c) t.low[c >> 6] |= std::uint64_t{1} << (c & 63);
      if (last >= 0x10000) t.high.push_back({std::max(first, unicode::CodePoint{0x10000}), last});
    }
    return t;
  }
  std::uint32_t here() const { return static_cast<std::uint32_t>(out_.program_.size()); }
  std::uint32_t push(const Regex::Instruction& i) {
    if (out_.program_.size() > 1 << 16)
      throw Error(Code::kLimit, "regular expression: its repetitions unfold to more than 65536 steps");
    out_.program_.push_back(i);
    return here() - 1;
  }
  void emit(int at) {  // recursion is as deep as the pattern nests, which the parser limits
    const Node& n = (*nodes_)[static_cast<std::size_t>(at)];
    switch (n.kind) {
      case Node::kSet: push({.op = Op::set, .a = n.value}); break;
      case Node::kAssert: push({.op = static_cast<Op>(n.value)}); break;
      case Node::kConcat:
        for (const int c : n.children) emit(c);
        break;
      case Node::kAlternatives: {
        std::vector<std::uint32_t> ends;
        for (std::size_t i = 0; i < n.children.size(); ++i) {
          const bool last = i + 1 == n.children.size();
          const std::uint32_t split = last ? 0 : push({.op = Op::split, .a = here() + 1});
          emit(n.children[i]);
          if (last) break;
          ends.push_back(push({.op = Op::jump}));
          out_.program_[split].b = here();
        }
        for (const std::uint32_t e : ends) out_.program_[e].a = here();
        break;
      }
      case Node::kLook:
      case Node::kNotLook:
      case Node::kAtomic: {
        const Op op = n.kind == Node::kLook ? Op::look : n.kind == Node::kNotLook ? Op::not_look : Op::atomic;
        const std::uint32_t begin = push({.op = op});
        emit(n.children[0]);
        push({.op = Op::match});
        out_.program_[begin].a = here();
        break;
      }
      case Node::kRepeat: repeat(n); break;
    }
  }
  void repeat(const Node& n) {
    const Node& body = (*nodes_)[static_cast<std::size_t>(n.children[0])];
    if (body.kind == Node::kSet) {
      push({.op = Op::repeat, .mode = n.mode, .a = body.value, .least = n.least, .most = n.most});
      return;
    }
    const std::uint32_t atomic = n.mode == Regex::Mode::possessive ? push({.op = Op::atomic}) : 0;
    for (std::uint32_t i = 0; i < n.least; ++i) emit(n.children[0]);
    const auto fork = [&] { return push({.op = Op::split}); };
    const auto aim = [&](std::uint32_t split, std::uint32_t into, std::uint32_t past) {
      Regex::Instruction& s = out_.program_[split];
      s.a = n.mode == Regex::Mode::lazy ? past : into;
      s.b = n.mode == Regex::Mode::lazy ? into : past;
    };
    if (n.most == detail::kForever) {
      const std::uint32_t slot = out_.slots_++, top = fork();
      push({.op = Op::mark, .a = slot});
      emit(n.children[0]);
      push({.op = Op::loop, .a = top, .b = slot});
      aim(top, top + 1, here());
    } else {
      std::vector<std::uint32_t> forks;
      for (std::uint32_t i = n.least; i < n.most; ++i) {
        forks.push_back(fork());
        emit(n.children[0]);
      }
      for (const std::uint32_t f : forks) aim(f, f + 1, here());
    }
    if (n.mode == Regex::Mode::possessive) {
      push({.op = Op::match});
      out_.program_[atomic].a = here();
    }
  }
  Regex& out_;
  const std::vector<Node>* nodes_ = nullptr;
};

inline Regex Regex::compile(std::string_view pattern) {
  Regex r;
  RegexCompiler(r).run(pattern);
  return r;
}

inline void Regex::find_first_bytes() {
  std::vector<std::uint32_t> todo{0};
  std::vector<bool> seen(program_.size());
  const auto add = [&](const Set& s) {
    for (unicode::CodePoint c = 0; c < 0x10000; ++c) {
      if (!s.contains(c)) continue;
      std::string bytes;
      unicode::append(bytes, c);
      first_[static_cast<unsigned char>(bytes[0])] = true;
    }
    if (!s.high.empty()) std::fill(first_ + 0xf0, first_ + 0xf5, true);
  };
  while (!todo.empty()) {
    const std::uint32_t pc = todo.back();
    todo.pop_back();
    if (seen[pc]) continue;
    seen[pc] = true;
    const Instruction& i = program_[pc];
    switch (i.op) {
      case Op::match: any_first_ = true; break;
      case Op::set: add(sets_[i.a]); break;
      case Op::repeat:
        add(sets_[i.a]);
        if (i.least == 0) todo.push_back(pc + 1);
        break;
      case Op::split: todo.insert(todo.end(), {i.a, i.b}); break;
      case Op::jump:
      case Op::look:
      case Op::not_look: todo.push_back(i.a); break;
      case Op::loop: todo.insert(todo.end(), {i.a, pc + 1}); break;
      case Op::atomic: {
        // What it begins with, and, as it may be empty, what follows.
        todo.insert(todo.end(), {pc + 1, i.a});
        break;
      }
      default: todo.push_back(pc + 1);
    }
  }
}

/// One search: the stack of what to try next, and the count of steps.
struct Regex::Run {
  struct Frame {
    std::uint32_t pc;      // kRestore: a slot to put back
    std::uint32_t repeat;  // instruction of a repeat that may give back or take more, or kNone
    std::size_t at, limit;
  };
  static constexpr std::uint32_t kNone = 0xffffffffu, kRestore = 0xfffffffeu;

  const Regex& re;
  std::string_view text;
  std::size_t budget;
  std::vector<Frame> stack{};
  std::vector<std::size_t> slots = std::vector<std::size_t>(re.slots_);

  bool word(std::size_t at, bool before) const {
    std::size_t n = 0;
    if (before ? at == 0 : at == text.size()) return false;
    return re.sets_[re.word_].contains(before ? unicode::decode_before(text, at, n) : unicode::decode(text, at, n));
  }
  bool take(const Set& set, std::size_t& at) const {
    if (at >= text.size()) return false;
    std::size_t n = 0;
    if (!set.contains(unicode::decode(text, at, n))) return false;
    at += n;
    return true;
  }
  void spend() {
    if (budget-- == 0)
      throw Error(Code::kLimit, {"regular expression '", re.pattern_, "': matching this text takes too many steps"});
  }

  // Runs from an instruction to its match. Nested only as deep as lookaheads and atomic groups in the pattern.
  bool match(std::uint32_t pc, std::size_t at, std::size_t& end) {
    const std::size_t base = stack.size();
    for (;;) {
      bool good = true;
      const Instruction& i = re.program_[pc];
      switch (i.op) {
        case Op::match:
          stack.resize(base);
          end = at;
          return true;
        case Op::set:
          good = take(re.sets_[i.a], at);
          ++pc;
          break;
        case Op::repeat: good = repeat(i, pc, at); break;
        case Op::split:
          stack.push_back({i.b, kNone, at, 0});
          pc = i.a;
          break;
        case Op::jump: pc = i.a; break;
        case Op::mark:
          stack.push_back({i.a, kRestore, slots[i.a], 0});
          slots[i.a] = at;
          ++pc;
          break;
        case Op::loop: pc = slots[i.b] == at ? pc + 1 : i.a; break;  // an empty turn ends the loop
        case Op::look:
        case Op::not_look: {
          std::size_t unused = 0;
          good = match(pc + 1, at, unused) == (i.op == Op::look);
          pc = i.a;
          break;
        }
        case Op::atomic:
          good = match(pc + 1, at, at);
          pc = i.a;
          break;
        default: good = holds(i.op, at); ++pc;
      }
      if (!good && !back(base, pc, at)) return false;
    }
  }

 private:
  bool holds(Op op, std::size_t at) const {
    switch (op) {
      case Op::line_begin: return at == 0 || (text[at - 1] == '\n' && at < text.size());
      case Op::line_end: return at == text.size() || text[at] == '\n';
      case Op::text_begin: return at == 0;
      case Op::text_end: return at == text.size();
      case Op::text_end_or_newline: return at == text.size() || (at + 1 == text.size() && text[at] == '\n');
      default: return (word(at, true) != word(at, false)) == (op == Op::word_edge);
    }
  }
  bool repeat(const Instruction& i, std::uint32_t& pc, std::size_t& at) {
    const Set& set = re.sets_[i.a];
    std::uint32_t n = 0;
    std::size_t least = at;
    const std::uint32_t most = i.mode == Mode::lazy ? i.least : i.most;
    while (n < most && take(set, at))
      if (++n == i.least) least = at;
    if (n < i.least) return false;
    if (i.mode == Mode::greedy && at > least) stack.push_back({pc + 1, pc, at, least});
    if (i.mode == Mode::lazy && i.most > i.least) stack.push_back({pc + 1, pc, at, i.most - i.least});
    ++pc;
    return true;
  }
  // Takes the latest choice back. False when there is none since `base`.
  bool back(std::size_t base, std::uint32_t& pc, std::size_t& at) {
    while (stack.size() > base) {
      spend();
      Frame& f = stack.back();
      if (f.repeat == kRestore) {
        slots[f.pc] = f.at;
        stack.pop_back();
        continue;
      }
      pc = f.pc;
      if (f.repeat == kNone) {
        at = f.at;
        stack.pop_back();
        return true;
      }
      const Instruction& i = re.program_[f.repeat];
      if (i.mode == Mode::greedy) {
        std::size_t n = 0;
        unicode::decode_before(text, f.at, n);
        at = f.at -= n;
        if (f.at == f.limit) stack.pop_back();
        return true;
      }
      if (f.limit > 0 && take(re.sets_[i.a], f.at)) {
        at = f.at;
        if (i.most != detail::kForever) --f.limit;
        return true;
      }
      stack.pop_back();
    }
    return false;
  }
};

inline bool Regex::find(std::string_view text, std::size_t from, std::size_t& begin, std::size_t& end) const {
  Run run{*this, text, std::size_t{10'000'000} + 64 * text.size()};
  for (std::size_t at = from; at <= text.size(); at += at < text.size() ? unicode::width(text[at]) : 1) {
    if (!any_first_ && (at == text.size() || !first_[static_cast<unsigned char>(text[at])])) continue;
    if (!run.match(0, at, end)) continue;
    begin = at;
    return true;
  }
  return false;
}

}  // namespace tessera::text
