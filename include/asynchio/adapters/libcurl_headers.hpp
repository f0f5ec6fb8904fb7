// SPDX-License-Identifier: BSL-1.0
#pragma once

// The header of a request or response.

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::libcurl {

/// One field of a header.
///
/// Threads: a plain value.
struct header_field {
    header_field() = default;
    /// Makes a field. @param of_name its name. @param of_value its value.
    header_field(std::string of_name, std::string of_value) : name(std::move(of_name)), value(std::move(of_value)) {}

    /// The name, as it was sent; names of HTTP/2 are in small letters.
    std::string name;
    /// The value, without blanks around it.
    std::string value;
};

/// The fields of a header, in their order. Names are compared without regard to case.
///
/// Threads: a plain value.
/// Example: `const auto type = answer.headers.find("Content-Type");`
/// See also: request, response.
class header_fields {
public:
    header_fields() = default;
    /// Makes a header of fields, as set() does one by one, but that names may repeat.
    header_fields(std::initializer_list<header_field> fields) {
        for (const header_field& each : fields) add(each.name, each.value);
    }

    /// Adds a field behind the others, also if there is one of the name.
    /// @param name letters, digits, and the signs that RFC 9110 allows. @param value without line ends and zero bytes.
    /// @throws std::invalid_argument that names the field, for others: they would end the field and begin another.
    void add(std::string name, std::string value) {
        require_valid(name, value);
        fields_.emplace_back(std::move(name), std::move(value));
    }
    /// Replaces all fields of a name by one. @param name as that of add(). @param value likewise.
    /// @throws as add().
    void set(std::string name, std::string value) {
        require_valid(name, value);
        erase(name);
        fields_.emplace_back(std::move(name), std::move(value));
    }
    /// Removes all fields of a name. @param name of any case. @return how many there were.
    std::size_t erase(std::string_view name) {
        return std::erase_if(fields_, [&](const header_field& each) { return is_same(each.name, name); });
    }

    /// Returns the value of the first field of a name, which lives as long as the field; nothing if there is none.
    /// @param name of any case.
    std::optional<std::string_view> find(std::string_view name) const noexcept {
        for (const header_field& each : fields_)
            if (is_same(each.name, name)) return each.value;
        return std::nullopt;
    }
    /// Returns the values of all fields of a name, in their order. @param name of any case.
    std::vector<std::string_view> all(std::string_view name) const {
        std::vector<std::string_view> found;
        for (const header_field& each : fields_)
            if (is_same(each.name, name)) found.push_back(each.value);
        return found;
    }

    /// Adds a line of a head that has come, without its end: a field, or the continuation of the one before. What is
    /// neither is dropped. @param line as it was sent.
    void add_line(std::string_view line) {
        const bool continues = line.starts_with(' ') || line.starts_with('\t');
        const std::size_t colon = continues ? std::string_view::npos : line.find(':');
        if (continues && !fields_.empty())
            fields_.back().value.append(" ").append(trimmed(line));
        else if (colon != std::string_view::npos)
            fields_.emplace_back(std::string(trimmed(line.substr(0, colon))),
                                 std::string(trimmed(line.substr(colon + 1))));
    }

    /// Whether a text may be the name of a field, or a method: letters, digits, and the signs that RFC 9110 allows.
    /// @param text of any kind.
    static bool is_name(std::string_view text) noexcept {
        return !text.empty() && std::ranges::all_of(text, is_of_name);
    }

    /// Returns the number of fields.
    std::size_t size() const noexcept { return fields_.size(); }
    /// Whether there are none.
    bool empty() const noexcept { return fields_.empty(); }
    /// Returns where the fields begin.
    auto begin() const noexcept { return fields_.begin(); }
    /// Returns where the fields end.
    auto end() const noexcept { return fields_.end(); }

private:
    static char lowered(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
    static std::string_view trimmed(std::string_view text) noexcept {
        while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
        while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
        return text;
    }
    static bool is_same(std::string_view a, std::string_view b) noexcept {
        return std::ranges::equal(a, b, {}, lowered, lowered);
    }
    static bool is_of_name(char c) noexcept {
        const char small = lowered(c);
        return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') ||
               (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
    }
    static void require_valid(const std::string& name, const std::string& value) {
        if (!is_name(name))
            throw std::invalid_argument(
                "libcurl: the name of a header's field has a character that HTTP does not allow: '" + name + "'");
        if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
            throw std::invalid_argument("libcurl: the value of the header's field " + name +
                                        " has a line end or a zero byte");
    }

    std::vector<header_field> fields_;
};

} // namespace asynchio::libcurl

#pragma GCC visibility pop
