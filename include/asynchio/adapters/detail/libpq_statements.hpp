// SPDX-License-Identifier: BSL-1.0
#pragma once

// The prepared statements of a connection to PostgreSQL.

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::libpq::detail {

/// The names of the statements that the server has prepared, or was told to prepare, the one used last in front.
class statements {
public:
    explicit statements(std::size_t max) noexcept : max_(max) {}

    /// Whether statements are prepared at all.
    bool enabled() const noexcept { return max_ > 0; }
    /// Whether one must go before another is added.
    bool full() const noexcept { return known_.size() >= max_; }
    /// Returns the name of a statement, or a null pointer.
    const std::string* find(std::string_view sql) noexcept {
        for (auto each = known_.begin(); each != known_.end(); ++each) {
            if (each->sql != sql) continue;
            known_.splice(known_.begin(), known_, each);
            return &each->name;
        }
        return nullptr;
    }
    /// Returns a name that no statement has had.
    std::string new_name() { return "asynchio_" + std::to_string(++names_); }
    void add(std::string sql, std::string name) { known_.push_front({std::move(sql), std::move(name)}); }
    const std::string& oldest() const noexcept { return known_.back().name; }
    void forget_oldest() noexcept { known_.pop_back(); }
    void forget(std::string_view name) noexcept {
        known_.remove_if([name](const statement& each) { return each.name == name; });
    }

private:
    struct statement {
        std::string sql;
        std::string name;
    };
    std::list<statement> known_;
    std::size_t max_;
    unsigned long long names_ = 0;
};

} // namespace asynchio::libpq::detail

#pragma GCC visibility pop
