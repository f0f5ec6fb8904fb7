// SPDX-License-Identifier: BSL-1.0
#pragma once

// Python's print and a few of its exceptions, for programs whose output is compared with CPython's.

#include <concepts>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace python {

struct value_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct key_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline std::string str(std::string_view text) { return std::string(text); }
inline std::string str(std::same_as<bool> auto truth) { return truth ? "True" : "False"; }
inline std::string str(std::integral auto number)
    requires(!std::same_as<decltype(number), bool>)
{
    return std::to_string(number);
}
template<class T>
std::string str(const std::optional<T>& value) {
    return value ? str(*value) : "None";
}

inline std::string repr(const auto& value) { return str(value); }
inline std::string repr(const std::string& text) { return "'" + text + "'"; }
template<class A, class B>
std::string repr(const std::pair<A, B>& both) {
    std::string text = "("; // g++ 12 warns of what "(" + ... becomes at -O3
    text += repr(both.first);
    text += ", ";
    text += repr(both.second);
    text += ")";
    return text;
}

template<class T>
std::string str(const std::vector<T>& list) {
    std::string text;
    for (const T& each : list) {
        if (!text.empty()) text += ", ";
        text += repr(each);
    }
    return "[" + text + "]";
}

/// One line, the arguments separated by blanks.
template<class First, class... Rest>
void print(const First& first, const Rest&... rest) {
    std::cout << str(first);
    ((std::cout << ' ' << str(rest)), ...);
    std::cout << '\n' << std::flush;
}

/// Returns for each handle whether it is done.
template<class Handle>
std::vector<bool> done(const std::vector<Handle>& handles) {
    std::vector<bool> each;
    for (const Handle& handle : handles) each.push_back(handle.done());
    return each;
}

/// Returns for each handle whether it was cancelled.
template<class Handle>
std::vector<bool> cancelled(const std::vector<Handle>& handles) {
    std::vector<bool> each;
    for (const Handle& handle : handles) each.push_back(handle.cancelled());
    return each;
}

} // namespace python
