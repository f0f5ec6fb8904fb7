// SPDX-License-Identifier: BSL-1.0
#pragma once

// Replies out of the bytes of a server, by hiredis' reader.

#include <asynchio/adapters/hiredis_error.hpp>
#include <asynchio/adapters/hiredis_reply.hpp>

#include <hiredis/read.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::hiredis::detail {

/// Makes replies of what has come. After an exception it must not be used any more.
class reply_reader {
public:
    /// @param limit the maximum size of a reply.
    explicit reply_reader(std::size_t limit) : limit_(limit), reader_(redisReaderCreateWithFunctions(&functions())) {
        if (reader_ == nullptr) throw std::bad_alloc();
        reader_->privdata = this;
    }
    reply_reader(const reply_reader&) = delete;
    reply_reader& operator=(const reply_reader&) = delete;
    ~reply_reader() = default;

    /// Takes what has come. @throws std::bad_alloc; protocol_error if the reply becomes too large.
    void feed(std::string_view bytes) {
        size_ += bytes.size();
        if (size_ > limit_)
            throw protocol_error("a reply of the server has more than options::max_reply bytes, which is " +
                                 std::to_string(limit_));
        if (redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK) throw std::bad_alloc();
    }
    /// Moves the next reply to `into`. @return false if it has not come whole.
    /// @throws std::bad_alloc; protocol_error for what is none.
    bool next(reply& into) {
        void* whole = nullptr;
        if (redisReaderGetReply(reader_.get(), &whole) != REDIS_OK) {
            if (reader_->err == REDIS_ERR_OOM && !too_deep_) throw std::bad_alloc();
            refuse(too_deep_ ? "arrays in more than 32 arrays" : reader_->errstr);
        }
        const std::size_t rest = reader_->len - reader_->pos;
        if (whole == nullptr) {
            constexpr std::size_t longest_line = 1'000'000; // it is searched for its end whenever something has come
            if (rest > longest_line && std::memchr(reader_->buf + reader_->pos, '\r', longest_line) == nullptr)
                refuse("a line that does not end");
            return false;
        }
        if (whole != &made_) refuse("a type that was not asked for");
        into = std::exchange(made_, reply());
        size_ = rest;
        return true;
    }

private:
    struct freed {
        void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
    };

    [[noreturn]] static void refuse(const char* why) {
        throw protocol_error("what has come is no reply of Redis: " + std::string(why));
    }

    // hiredis calls these. A null pointer tells it that there is no memory.

    static reply_reader& reader_of(const redisReadTask* task) { return *static_cast<reply_reader*>(task->privdata); }
    /// Returns the place for a reply: the whole one, or the next element of the array that has begun.
    static reply* place(const redisReadTask* task) {
        if (task->parent == nullptr) return &reader_of(task).made_;
        return &reply_access::elements(*static_cast<reply*>(task->parent->obj)).emplace_back();
    }
    static void* create_string(const redisReadTask* task, char* text, std::size_t size) noexcept try {
        reply* const made = place(task);
        const reply_type type = task->type == REDIS_REPLY_STATUS  ? reply_type::status
                                : task->type == REDIS_REPLY_ERROR ? reply_type::error
                                                                  : reply_type::string;
        reply_access::set(*made, type, std::string_view(text, size));
        return made;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    template<class Size> // int, and later size_t
    static void* create_array(const redisReadTask* task, Size size) noexcept try {
        int depth = 0;
        for (const redisReadTask* each = task->parent; each != nullptr; each = each->parent) ++depth;
        if (depth > 32) {
            reader_of(task).too_deep_ = true;
            return nullptr;
        }
        reply* const made = place(task);
        reply_access::set(*made, reply_type::array);
        constexpr std::size_t max_believed = 1000; // a length is told before anything has come
        const auto announced = static_cast<std::size_t>(size);
        reply_access::elements(*made).reserve(announced < max_believed ? announced : max_believed);
        return made;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    static void* create_integer(const redisReadTask* task, long long value) noexcept try {
        reply* const made = place(task);
        reply_access::set(*made, value);
        return made;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    static void* create_nil(const redisReadTask* task) noexcept try {
        return place(task);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }

    static redisReplyObjectFunctions& functions() noexcept {
        static redisReplyObjectFunctions all = [] {
            redisReplyObjectFunctions made{};
            made.createString = &create_string;
            made.createArray = &create_array;
            made.createInteger = &create_integer;
            made.createNil = &create_nil;
            made.freeObject = [](void*) {}; // the reply belongs to this class
            return made;
        }();
        return all;
    }

    reply made_;
    std::size_t limit_;
    std::size_t size_ = 0; // of what has come of a reply that is not whole
    bool too_deep_ = false;
    std::unique_ptr<redisReader, freed> reader_;
};

} // namespace asynchio::hiredis::detail

#pragma GCC visibility pop
