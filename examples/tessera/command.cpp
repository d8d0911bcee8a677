// What command.hpp says, by CLI11.
#include "command.hpp"

#include <CLI/CLI.hpp>

namespace tool {

Option& Option::required(bool yes) {
  option_->required(yes);
  return *this;
}
Option& Option::range(std::int64_t least, std::int64_t most) {
  option_->check(CLI::Range(least, most));
  return *this;
}
Option& Option::one_of(std::initializer_list<const char*> words) {
  option_->check(CLI::IsMember(std::vector<std::string>(words.begin(), words.end())));
  return *this;
}
Option& Option::excludes(const Option& other) {
  option_->excludes(other.option_);
  return *this;
}
Option& Option::separated_by(char letter) {
  option_->delimiter(letter);
  return *this;
}
Option& Option::one_each_time() {
  option_->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  return *this;
}
Option& Option::shows_default() {
  option_->capture_default_str();
  return *this;
}

Option Command::option(const std::string& names, std::string& value, const std::string& help) {
  return Option(app_->add_option(names, value, help));
}
Option Command::option(const std::string& names, int& value, const std::string& help) {
  return Option(app_->add_option(names, value, help));
}
Option Command::option(const std::string& names, std::int64_t& value, const std::string& help) {
  return Option(app_->add_option(names, value, help));
}
Option Command::option(const std::string& names, std::size_t& value, const std::string& help) {
  return Option(app_->add_option(names, value, help));
}
Option Command::option(const std::string& names, float& value, const std::string& help) {
  return Option(app_->add_option(names, value, help));
}
Option Command::option(const std::string& names, std::vector<std::string>& values, const std::string& help) {
  return Option(app_->add_option(names, values, help));
}
Option Command::option(const std::string& names, std::vector<std::int64_t>& values, const std::string& help) {
  return Option(app_->add_option(names, values, help));
}
Option Command::option(const std::string& names, const std::function<void(const std::string&)>& got,
                       const std::string& help) {
  return Option(app_->add_option_function<std::string>(names, got, help));
}
Option Command::flag(const std::string& names, bool& value, const std::string& help) {
  return Option(app_->add_flag(names, value, help));
}
Option Command::flag(const std::string& names, std::string& value, const std::string& help) {
  return Option(app_->add_flag(names, value, help));
}
Option Command::named(const std::string& name) { return Option(app_->get_option(name)); }
void Command::footer(const std::string& text) { app_->footer(text); }
void Command::runs(const std::function<int()>& f, int& exit) {
  app_->callback([f, &exit] { exit = f(); });
}

}  // namespace tool
