// SPDX-License-Identifier: BSL-1.0
#pragma once

// Bytes that a call reads from or writes into: text, std::byte and unsigned char alike.

#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <string_view>
#include <type_traits>

namespace asynchio {

namespace detail {

template<class T>
concept byte_like = sizeof(T) == 1 && std::is_trivially_copyable_v<T> && !std::is_same_v<std::remove_cv_t<T>, bool>;

template<class R>
concept byte_range = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
    byte_like<std::remove_reference_t<std::ranges::range_reference_t<R>>>;

template<class R>
concept writable_byte_range =
    byte_range<R> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>;

} // namespace detail

/// A view of bytes to be written: made of a std::string_view, a std::string, a literal, or anything contiguous of
/// char, std::byte or unsigned char.
class bytes {
public:
    bytes() noexcept = default;
    bytes(const char* text) noexcept : bytes(std::string_view(text)) {}
    bytes(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}
    template<class R>
    requires(detail::byte_range<R> && !std::is_array_v<std::remove_reference_t<R>> &&
             !std::same_as<std::remove_cvref_t<R>, bytes> && !std::same_as<std::remove_cvref_t<R>, std::string_view>)
        bytes(R&& range)
    noexcept : data_(std::ranges::data(range)), size_(std::ranges::size(range)) {}
    template<class T, std::size_t N>
    requires(detail::byte_like<T> && !std::is_same_v<std::remove_cv_t<T>, char>) bytes(T (&array)[N])
    noexcept : data_(array), size_(N) {}

    const void* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

private:
    const void* data_ = nullptr;
    std::size_t size_ = 0;
};

/// A view of bytes to be read into: made of anything contiguous of char, std::byte or unsigned char.
class mutable_bytes {
public:
    template<class R>
    requires(detail::writable_byte_range<R> && !std::same_as<std::remove_cvref_t<R>, mutable_bytes>)
        mutable_bytes(R&& range)
    noexcept : data_(std::ranges::data(range)), size_(std::ranges::size(range)) {}
    mutable_bytes(void* data, std::size_t size) noexcept : data_(data), size_(size) {}

    void* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    void* data_;
    std::size_t size_;
};

} // namespace asynchio
