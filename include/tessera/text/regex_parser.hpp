// The syntax of regex.hpp, to a tree. Only regex-inl.hpp needs it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <tessera/text/regex_sets.hpp>
#include <tessera/text/regex_tree.hpp>

namespace tessera::text::detail {

class RegexParser {
 public:
  explicit RegexParser(std::string_view pattern) : p_(pattern) {
    std::size_t bad = 0;
    if (unicode::valid_prefix(p_, 0, bad) != p_.size()) fail(Code::kFormat, "the pattern is not valid UTF-8");
    if (p_.size() > 1 << 14) fail(Code::kLimit, "a pattern of more than 16 KiB");
  }
  /// \return the root.
  int parse() {
    const int root = alternatives({}, 0);
    if (at_ < p_.size()) fail(Code::kFormat, "an unmatched ')'");
    return root;
  }
  const std::vector<RegexNode>& nodes() const { return nodes_; }
  const std::vector<unicode::CodeSet>& sets() const { return sets_; }

 private:
  using CodePoint = unicode::CodePoint;
  using CodeSet = unicode::CodeSet;
  struct Options {
    bool ignore_case = false, dot_all = false, extended = false;
  };
  static constexpr int kDeepest = 64;

  [[noreturn]] void fail(Code code, const std::string& what) const {
    throw Error(code, {"regular expression '", std::string(p_.substr(0, 200)), "': ", what});
  }
  [[noreturn]] void unsupported(const std::string& what) const { fail(Code::kUnsupported, what + " is not supported"); }
  bool more() const { return at_ < p_.size(); }
  bool peek(std::string_view s) const { return p_.substr(at_).starts_with(s); }
  bool eat(std::string_view s) { return peek(s) ? at_ += s.size(), true : false; }
  CodePoint next() {
    std::size_t n = 0;
    const CodePoint c = unicode::decode(p_, at_, n);
    at_ += n;
    return c;
  }
  int node(RegexNode n) {
    nodes_.push_back(std::move(n));
    return static_cast<int>(nodes_.size()) - 1;
  }
  int set_node(CodeSet s) {
    sets_.push_back(std::move(s));
    return node({.kind = RegexNode::kSet, .value = static_cast<std::uint32_t>(sets_.size() - 1)});
  }

  int alternatives(Options o, int depth) {
    if (depth > kDeepest) fail(Code::kLimit, "nested deeper than 64");
    RegexNode all{.kind = RegexNode::kAlternatives};
    do all.children.push_back(concatenation(o, depth));
    while (eat("|"));
    return all.children.size() == 1 ? all.children[0] : node(std::move(all));
  }
  int concatenation(Options o, int depth) {
    RegexNode all;
    folded_.clear();
    while (more() && !peek("|") && !peek(")")) {
      if (o.extended && (std::string_view(" \t\n\r\f\v").find(p_[at_]) != std::string_view::npos)) {
        ++at_;
        continue;
      }
      if (o.extended && peek("#")) {
        while (more() && p_[at_] != '\n') ++at_;
        continue;
      }
      if (eat("(?#")) {
        const std::size_t end = p_.find(')', at_);
        if (end == p_.npos) fail(Code::kFormat, "a comment without its end");
        at_ = end + 1;
        continue;
      }
      const std::size_t before = at_;
      Options changed = o;
      if (option_group(changed) && eat(")")) {  // (?i) holds to the end of the group, alternatives included
        all.children.push_back(alternatives(changed, depth + 1));
        continue;
      }
      at_ = before;
      all.children.push_back(quantified(atom(o, depth)));
    }
    return all.children.size() == 1 ? all.children[0] : node(std::move(all));
  }
  // "(?im-x" with what they change; false when it is none. What follows is ':' or ')'.
  bool option_group(Options& o) {
    if (!eat("(?")) return false;
    bool on = true, any = false;
    for (; more() && p_[at_] != ')' && p_[at_] != ':'; ++at_) {
      switch (p_[at_]) {
        case '-': on = false; break;
        case 'i': o.ignore_case = on; break;
        case 'm': o.dot_all = on; break;
        case 'x': o.extended = on; break;
        default: return false;
      }
      any = true;
    }
    return any && more();
  }

  int group(Options o, int depth) {  // after '('
    int inside = -1;
    const auto wrapped = [&](RegexNode::Kind kind) {
      inside = alternatives(o, depth + 1);
      return node({.kind = kind, .children = {inside}});
    };
    int out = -1;
    const std::size_t begin = at_ - 1;
    if (eat("?:")) {
      out = alternatives(o, depth + 1);
    } else if (eat("?=")) {
      out = wrapped(RegexNode::kLook);
    } else if (eat("?!")) {
      out = wrapped(RegexNode::kNotLook);
    } else if (eat("?>")) {
      out = wrapped(RegexNode::kAtomic);
    } else if (peek("?")) {
      at_ = begin;
      Options changed = o;
      if (peek("(?<=") || peek("(?<!")) unsupported("lookbehind " + std::string(p_.substr(begin, 4)));
      if (!option_group(changed) || !eat(":")) unsupported("the group " + std::string(p_.substr(begin, 4)));
      out = alternatives(changed, depth + 1);
    } else {
      if (peek("*")) unsupported("the callout (*");
      inside = alternatives(o, depth + 1);  // what it captures is never asked for
      out = node({.kind = RegexNode::kConcat, .children = {inside}});
    }
    if (!eat(")")) fail(Code::kFormat, "a group without its end");
    folded_.clear();
    return out;
  }

  int atom(Options o, int depth) {
    if (eat("(")) return group(o, depth);
    if (eat("[")) {
      folded_.clear();
      return set_node(char_class(o, depth));
    }
    const auto assertion = [&](RegexOp op) {
      folded_.clear();
      return node({.kind = RegexNode::kAssert, .value = static_cast<std::uint32_t>(op)});
    };
    if (eat(".")) {
      folded_.clear();
      return set_node(o.dot_all ? CodeSet(0, CodeSet::kLast) : CodeSet('\n', '\n').complement());
    }
    if (eat("^")) return assertion(RegexOp::line_begin);
    if (eat("$")) return assertion(RegexOp::line_end);
    if (std::string_view("*+?").find(p_[at_]) != std::string_view::npos)
      fail(Code::kFormat, "nothing before the quantifier '" + std::string(1, p_[at_]) + "'");
    if (!peek("\\")) return literal(next(), o);
    if (eat("\\A")) return assertion(RegexOp::text_begin);
    if (eat("\\z")) return assertion(RegexOp::text_end);
    if (eat("\\Z")) return assertion(RegexOp::text_end_or_newline);
    if (eat("\\b")) return assertion(RegexOp::word_edge);
    if (eat("\\B")) return assertion(RegexOp::no_word_edge);
    CodeSet set;
    CodePoint c = 0;
    if (!escape(set, c, false)) return literal(c, o);
    folded_.clear();
    return set_node(std::move(set));
  }

  int literal(CodePoint c, Options o) {
    CodeSet set(c, c);
    if (!o.ignore_case) {
      folded_.clear();
      return set_node(std::move(set));
    }
    if (const CodePoint many = fold_set(set)) unsupported("(?i) on " + shown(many) + ", which matches several characters,");
    // A run of letters may match one character, as "ss" the sharp s.
    folded_.push_back(set.ranges().front().first);
    if (const CodePoint one = folded_from(folded_))
      unsupported("(?i) on letters that match " + shown(one) + " as one character");
    return set_node(std::move(set));
  }
  static std::string shown(CodePoint c) {
    std::string s = "'";
    unicode::append(s, c);
    return s + "'";
  }

  int quantified(int body) {
    for (;;) {
      RegexNode n{.kind = RegexNode::kRepeat, .least = 0, .most = kForever};
      const std::size_t before = at_;
      bool interval = false;
      if (eat("*")) {
      } else if (eat("+")) {
        n.least = 1;
      } else if (eat("?")) {
        n.most = 1;
      } else if (peek("{")) {
        ++at_;
        if (!counts(n)) return at_ = before, body;  // Ruby takes it for a literal brace
        interval = true;
      } else {
        return body;
      }
      folded_.clear();
      if (nodes_[static_cast<std::size_t>(body)].kind >= RegexNode::kAssert)
        fail(Code::kFormat, "a quantifier on an anchor");
      // Oniguruma leaves such a loop early or not by the size of its byte code.
      if (n.most > 1 && !(n.least <= 1 && n.most == kForever) && may_be_empty(nodes_, body))
        unsupported("a counted repetition of what may match nothing");
      n.children = {body};
      if (interval && peek("?") && n.least == n.most) {  // {n}? is {n} or nothing
        body = node(std::move(n));
        continue;
      }
      if (eat("?"))
        n.mode = RegexMode::lazy;
      else if (!interval && eat("+"))  // after an interval a + repeats it
        n.mode = RegexMode::possessive;
      body = node(std::move(n));
    }
  }
  // "n}", "n,}", ",m}" or "n,m}".
  bool counts(RegexNode& n) {
    const auto number = [&](std::uint32_t& v) {
      const std::size_t begin = at_;
      for (v = 0; more() && p_[at_] >= '0' && p_[at_] <= '9'; ++at_)
        if ((v = v * 10 + static_cast<std::uint32_t>(p_[at_] - '0')) > 100000)
          fail(Code::kLimit, "a repetition beyond 100000");
      return at_ > begin;
    };
    std::uint32_t most = 0;
    const bool first = number(n.least);
    n.most = n.least;
    if (eat(",")) {
      n.most = number(most) ? most : kForever;
      if (!first && n.most == kForever) return false;
    } else if (!first) {
      return false;
    }
    if (!eat("}")) return false;
    if (n.least > n.most) unsupported("a repetition {n,m} with n above m");
    return true;
  }

  // After a backslash at at_: a set (true) or a single character (false).
  bool escape(CodeSet& set, CodePoint& c, bool in_class) {
    const std::size_t begin = at_++;
    if (!more()) fail(Code::kFormat, "a backslash at the end");
    const auto name = [&](std::size_t n) { return "'" + std::string(p_.substr(begin, n)) + "'"; };
    c = next();
    const auto named = [&](const char* known, bool inverted) {
      named_set(known, true, set);
      if (inverted) set = set.complement();
      return true;
    };
    switch (c) {
      case 'd':
      case 'D': return named("digit", c == 'D');
      case 's':
      case 'S': return named("space", c == 'S');
      case 'h':
      case 'H': return named("xdigit", c == 'H');
      case 'w':
      case 'W': return named("\\w", c == 'W');
      case 'p':
      case 'P': {
        if (!eat("{")) unsupported(name(2) + " without braces");
        bool inverted = c == 'P';
        if (eat("^")) inverted = !inverted;
        const std::size_t end = p_.find('}', at_);
        if (end == p_.npos) fail(Code::kFormat, "a property without its end");
        std::string plain;
        for (const char k : p_.substr(at_, end - at_))
          if (k != ' ' && k != '_' && k != '-') plain += static_cast<char>(k >= 'A' && k <= 'Z' ? k + 32 : k);
        at_ = end + 1;
        if (!named_set(plain, false, set)) unsupported("the property " + name(at_ - begin));
        if (inverted) set = set.complement();
        return true;
      }
      case 't': c = '\t'; return false;
      case 'n': c = '\n'; return false;
      case 'r': c = '\r'; return false;
      case 'f': c = '\f'; return false;
      case 'v': c = '\v'; return false;
      case 'a': c = '\a'; return false;
      case 'e': c = 0x1b; return false;
      case 'x':
        if (eat("{")) {
          c = hex(1, 8);
          if (!eat("}")) unsupported(name(at_ - begin) + " with several code points");
        } else {
          c = hex(1, 2);
          if (c > 0x7f) unsupported(name(4) + ", a byte of a character,");
        }
        break;
      case 'u': c = hex(4, 4); break;
      default:
        if (in_class && c == 'b') return c = '\b', false;
        if (c < 128 && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) unsupported(name(2));
        return false;
    }
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) fail(Code::kFormat, name(at_ - begin) + " is no character");
    return false;
  }
  CodePoint hex(int least, int most) {
    CodePoint v = 0;
    int n = 0;
    for (; n < most && more(); ++n, ++at_) {
      const char k = p_[at_];
      const int d = k >= '0' && k <= '9'   ? k - '0'
                    : k >= 'a' && k <= 'f' ? k - 'a' + 10
                    : k >= 'A' && k <= 'F' ? k - 'A' + 10
                                           : -1;
      if (d < 0) break;
      v = v << 4 | static_cast<CodePoint>(d);
    }
    if (n < least) fail(Code::kFormat, "a hexadecimal escape without digits");
    return v;
  }

  CodeSet char_class(Options o, int depth) {  // after '['
    if (depth > kDeepest) fail(Code::kLimit, "nested deeper than 64");
    const bool inverted = eat("^");
    CodeSet all, now;
    bool have_all = false;
    const auto meet = [&] {
      all = have_all ? all.intersect(now) : now;
      have_all = true;
      now = {};
    };
    for (bool first = true;; first = false) {
      if (!more()) fail(Code::kFormat, "a class without its end");
      if (peek("]") && !first) break;
      if (eat("&&")) {
        meet();
        continue;
      }
      CodeSet item;
      if (peek("[:") && posix(item)) {
        now.add(item);
        continue;
      }
      if (eat("[")) {
        now.add(char_class(o, depth + 1));
        continue;
      }
      CodePoint low = 0, high = 0;
      if (peek("\\") ? escape(item, low, true) : (low = next(), false)) {
        now.add(item);
        continue;
      }
      high = low;
      if (peek("-") && !peek("-]") && at_ + 1 < p_.size()) {
        ++at_;
        if (peek("[") || peek("&&")) unsupported("a class range that ends in a class");
        if (peek("\\") ? escape(item, high, true) : (high = next(), false))
          fail(Code::kFormat, "a class at the end of a range");
        if (high < low) fail(Code::kFormat, "an empty range in a class");
      }
      now.add(CodeSet(low, high));
    }
    ++at_;
    meet();
    if (o.ignore_case) {
      const CodePoint many = fold_set(all);
      if (many && !inverted) unsupported("(?i) on a class with " + shown(many) + ", which matches several characters,");
    }
    return inverted ? all.complement() : all;
  }
  bool posix(CodeSet& out) {
    const std::size_t end = p_.find(":]", at_);
    if (end == p_.npos || end - at_ > 20) return false;
    std::string name(p_.substr(at_ + 2, end - at_ - 2));
    const bool inverted = name.starts_with('^');
    if (inverted) name.erase(0, 1);
    if (!named_set(name, true, out)) unsupported("the class '[:" + name + ":]'");
    at_ = end + 2;
    if (inverted) out = out.complement();
    return true;
  }

  std::string_view p_;
  std::size_t at_ = 0;
  std::vector<RegexNode> nodes_;
  std::vector<CodeSet> sets_;
  std::vector<CodePoint> folded_;  // literals under (?i) just before
};

}  // namespace tessera::text::detail
