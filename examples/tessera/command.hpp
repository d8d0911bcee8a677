// The options of one command of the tool, as its parser (CLI11) takes them. The parser's own header stays in command.cpp and
// main.cpp: it costs every unit that includes it more than the unit itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace tool {

/// One option; its functions give it back, so that they can follow each other.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option& required(bool yes = true);
  /// A number, or each of several, from `least` to `most`.
  Option& range(std::int64_t least, std::int64_t most);
  Option& one_of(std::initializer_list<const char*> words);
  /// Not together with that one.
  Option& excludes(const Option& other);
  /// Several values in one word, with this letter between them.
  Option& separated_by(char letter);
  /// One value each time that it is given, all of them kept.
  Option& one_each_time();
  /// --help says what the variable holds now.
  Option& shows_default();

 private:
  CLI::Option* option_;
};

/// A command: its options, each with the variable that gets its value, and what runs it.
class Command {
 public:
  explicit Command(CLI::App& app) : app_(&app) {}

  /// \param names as "-o,--out"; without a dash it goes by place.  \param value keeps what it holds when the option is not
  /// given.
  Option option(const std::string& names, std::string& value, const std::string& help);
  Option option(const std::string& names, int& value, const std::string& help);
  Option option(const std::string& names, std::int64_t& value, const std::string& help);
  Option option(const std::string& names, std::size_t& value, const std::string& help);
  Option option(const std::string& names, float& value, const std::string& help);
  Option option(const std::string& names, std::vector<std::string>& values, const std::string& help);
  Option option(const std::string& names, std::vector<std::int64_t>& values, const std::string& help);
  /// \param got is called with the text.
  Option option(const std::string& names, const std::function<void(const std::string&)>& got, const std::string& help);
  Option flag(const std::string& names, bool& value, const std::string& help);
  /// A flag that may have a value: "--cache{what it is without}".
  Option flag(const std::string& names, std::string& value, const std::string& help);
  /// An option that is there already.
  Option named(const std::string& name);
  void footer(const std::string& text);
  /// What the command does, when all its options are read; the program ends with the code that it gives.
  void runs(const std::function<int()>& f, int& exit);

 private:
  CLI::App* app_;
};

}  // namespace tool
