// SPDX-License-Identifier: BSL-1.0
#pragma once

// The goals of reads: when a read is over, and what it takes from the buffer then.

#include <asynchio/core/read_errors.hpp>
#include <asynchio/io/detail/channel.hpp>

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

inline void require_limit(std::size_t limit, const char* what) {
    if (limit == 0) throw std::invalid_argument(std::string(what) + ": the limit must be at least 1 byte");
}

/// Takes up to `most` bytes from the front.
inline std::string take(channel& from, std::size_t most) {
    std::string taken(from.buffer().view().substr(0, most));
    from.buffer().consume(taken.size());
    return taken;
}

/// Takes what has come: at least one byte, and at most `most`.
class some_bytes {
public:
    static constexpr const char* name = "read";
    explicit some_bytes(std::size_t most) noexcept : most_(most) {}

    bool reached(const channel& c) const noexcept { return most_ == 0 || !c.buffer().empty(); }
    std::string take(channel& c) const { return detail::take(c, most_); }

private:
    std::size_t most_;
};

class exactly {
public:
    static constexpr const char* name = "read_exactly";
    explicit exactly(std::size_t count) noexcept : count_(count) {}

    bool reached(const channel& c) const noexcept { return c.buffer().size() >= count_; }
    std::string take(channel& c) const {
        if (reached(c)) return detail::take(c, count_);
        throw incomplete_read_error(detail::take(c, c.buffer().size()), count_);
    }

private:
    std::size_t count_;
};

class everything {
public:
    static constexpr const char* name = "read_all";
    explicit everything(std::size_t limit) : limit_(limit) { require_limit(limit, name); }

    bool reached(const channel& c) const noexcept { return c.buffer().size() > limit_; }
    std::string take(channel& c) const {
        if (reached(c)) throw limit_overrun_error("read_all: there is more than the limit", c.buffer().size());
        return detail::take(c, c.buffer().size());
    }

private:
    std::size_t limit_;
};

/// Reads until the end, and takes nothing.
class until_end {
public:
    static constexpr const char* name = "communicate";
    explicit until_end(std::size_t limit) noexcept : limit_(limit) {}

    bool reached(const channel& c) const noexcept { return c.buffer().size() > limit_; }
    void take(const channel& c) const {
        if (reached(c)) throw limit_overrun_error("communicate: there is more than the limit", c.buffer().size());
    }

private:
    std::size_t limit_;
};

/// Takes everything up to the delimiter that ends first, the shorter one of two that end at once.
///
/// Cost: each byte is examined once; at each read, the last bytes are examined again, as many as the longest delimiter
/// has.
class up_to {
public:
    static constexpr const char* name = "read_until";

    up_to(std::vector<std::string> delimiters, std::size_t limit) : delimiters_(std::move(delimiters)), limit_(limit) {
        require_limit(limit, name);
        if (delimiters_.empty()) throw std::invalid_argument("read_until: there is no delimiter");
        for (std::size_t i = 1; i < delimiters_.size(); ++i) // sorts by length; there are few
            for (std::size_t j = i; j > 0 && delimiters_[j].size() < delimiters_[j - 1].size(); --j)
                delimiters_[j].swap(delimiters_[j - 1]);
        if (delimiters_.front().empty()) throw std::invalid_argument("read_until: a delimiter is empty");
    }

    /// Whether a delimiter was found, or is known to be beyond the limit.
    bool reached(const channel& c) {
        const std::string_view all = c.buffer().view();
        for (const std::string& each : delimiters_) {
            const std::size_t at = all.find(each, searched_);
            if (at != std::string_view::npos && (end_ == 0 || at + each.size() < end_)) {
                start_ = at;
                end_ = at + each.size();
            }
        }
        if (end_ != 0) return true;
        const std::size_t longest = delimiters_.back().size();
        searched_ = all.size() + 1 > longest ? all.size() + 1 - longest : 0;
        return searched_ > limit_;
    }
    std::string take(channel& c) {
        if (end_ != 0 && start_ <= limit_) return detail::take(c, end_);
        if (end_ != 0)
            throw limit_overrun_error("read_until: the delimiter comes behind more bytes than the limit", start_);
        if (searched_ > limit_)
            throw limit_overrun_error("read_until: no delimiter in more bytes than the limit", searched_);
        throw incomplete_read_error(detail::take(c, c.buffer().size()), std::nullopt);
    }

private:
    std::vector<std::string> delimiters_;
    std::size_t limit_;
    std::size_t searched_ = 0; // no delimiter starts before this position
    std::size_t start_ = 0;    // where the delimiter that was found starts
    std::size_t end_ = 0;
};

/// Takes a line with its newline, or what is left at the end. A line over the limit is dropped.
class line {
public:
    static constexpr const char* name = "read_line";
    explicit line(std::size_t limit) : limit_(limit) { require_limit(limit, name); }

    bool reached(const channel& c) noexcept {
        const std::string_view all = c.buffer().view();
        end_ = all.find('\n', searched_);
        searched_ = all.size();
        return end_ != std::string_view::npos || searched_ > limit_;
    }
    std::string take(channel& c) {
        const bool found = end_ != std::string_view::npos;
        const std::size_t length = found ? end_ : c.buffer().size();
        if (length <= limit_) return detail::take(c, found ? end_ + 1 : length);
        c.buffer().consume(found ? end_ + 1 : length);
        throw limit_overrun_error("read_line: a line is longer than the limit", length);
    }

private:
    std::size_t limit_;
    std::size_t searched_ = 0;
    std::size_t end_ = std::string_view::npos;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
