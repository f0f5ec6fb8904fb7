// SPDX-License-Identifier: BSL-1.0
#pragma once

// Views of the bytes that a call reads from or writes into: text, std::byte and unsigned char alike.

#include <concepts>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio {

namespace detail {

template<class T>
concept byte_like = sizeof(T) == 1 && std::is_trivially_copyable_v<T> && !std::is_same_v<std::remove_cv_t<T>, bool>;

template<class R>
using element_of = std::remove_pointer_t<decltype(std::data(std::declval<R&>()))>;

/// A contiguous range of bytes, by std::data and std::size; see core/detail/range.hpp.
template<class R>
concept byte_range = requires(R& r) {
    std::data(r) + std::size(r);
    requires byte_like<element_of<R>>;
};

template<class R>
concept writable_byte_range = byte_range<R> && !std::is_const_v<element_of<R>>;

} // namespace detail

/// A view of bytes to be written: made of a std::string_view, a std::string, a literal, or any contiguous range of
/// char, std::byte or unsigned char.
///
/// Threads: as a pointer. Lifetime: what it shows must outlive it, and stay in place.
/// Cost: a pointer and a size.
/// See also: mutable_byte_view, stream::write.
class byte_view {
public:
    byte_view() noexcept = default;
    /// Shows a text up to its zero byte, which is not part of the view.
    byte_view(const char* text) noexcept : byte_view(std::string_view(text)) {}
    /// Shows the characters of `text`.
    byte_view(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}
    /// Shows the elements of a contiguous range.
    template<class R>
        requires(detail::byte_range<R> && !std::is_array_v<std::remove_reference_t<R>> &&
                 !std::same_as<std::remove_cvref_t<R>, byte_view> &&
                 !std::same_as<std::remove_cvref_t<R>, std::string_view>)
    byte_view(R&& range) noexcept : data_(std::data(range)), size_(std::size(range)) {}
    /// Shows all elements of an array that is not one of char.
    template<class T, std::size_t N>
        requires(detail::byte_like<T> && !std::is_same_v<std::remove_cv_t<T>, char>)
    byte_view(T (&array)[N]) noexcept : data_(array), size_(N) {}

    /// Returns the address of the first byte.
    const void* data() const noexcept { return data_; }
    /// Returns the number of bytes.
    std::size_t size() const noexcept { return size_; }
    /// Whether there are no bytes.
    bool empty() const noexcept { return size_ == 0; }

private:
    const void* data_ = nullptr;
    std::size_t size_ = 0;
};

/// A view of memory that a call reads into: made of any contiguous range of char, std::byte or unsigned char.
///
/// Threads: as a pointer. Lifetime: the memory must stay in place until the call is over.
/// Cost: a pointer and a size.
/// See also: bytes, stream::read_some.
class mutable_byte_view {
public:
    /// Shows the elements of a contiguous range, which the call overwrites.
    template<class R>
        requires(detail::writable_byte_range<R> && !std::same_as<std::remove_cvref_t<R>, mutable_byte_view>)
    mutable_byte_view(R&& range) noexcept : data_(std::data(range)), size_(std::size(range)) {}
    /// Shows `size` bytes from `data` on.
    mutable_byte_view(void* data, std::size_t size) noexcept : data_(data), size_(size) {}

    /// Returns the address of the first byte.
    void* data() const noexcept { return data_; }
    /// Returns the number of bytes.
    std::size_t size() const noexcept { return size_; }

private:
    void* data_;
    std::size_t size_;
};

} // namespace asynchio

#pragma GCC visibility pop
