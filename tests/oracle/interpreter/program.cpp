// SPDX-License-Identifier: BSL-1.0
#include "program.hpp"

#include <cstdlib>
#include <stdexcept>

namespace oracle {

namespace {

class parser {
public:
    parser(std::string_view text, const plain_statements& plain, const waiting_statements& waiting)
        : text_(text), plain_(plain), waiting_(waiting) {}

    node read() {
        skip_blanks();
        node made;
        if (peek() != '(') {
            while (peek() != ' ' && peek() != '(' && peek() != ')' && peek() != '\0') made.word += text_[position_++];
            made.is_none = made.word == "-";
            made.number = std::atoi(made.word.c_str());
            return made;
        }
        ++position_;
        made.is_list = true;
        for (skip_blanks(); peek() != ')' && peek() != '\0'; skip_blanks()) made.parts.push_back(read());
        ++position_;
        if (made.parts.size() >= 2 && !made.parts[0].is_list) find_functions(made);
        return made;
    }

private:
    char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }
    void skip_blanks() {
        while (peek() == ' ') ++position_;
    }
    void find_functions(node& statement) const {
        const std::string_view name = statement.parts[0].word;
        if (const auto found = plain_.find(name); found != plain_.end()) statement.plain = found->second;
        if (const auto found = waiting_.find(name); found != waiting_.end()) statement.waiting = found->second;
    }

    std::string_view text_;
    const plain_statements& plain_;
    const waiting_statements& waiting_;
    std::size_t position_ = 0;
};

} // namespace

node parse(std::string_view text, const plain_statements& plain, const waiting_statements& waiting) {
    const node program = parser(text, plain, waiting).read();
    if (program.parts.size() != 5 || program.at(0).word != "program")
        throw std::runtime_error("this is not a program: " + std::string(text));
    return program;
}

} // namespace oracle
