// SPDX-License-Identifier: BSL-1.0
#pragma once

// The addresses of a host, asked for without blocking the loop: getaddrinfo(3) in threads of its own.

#include <asynchio/io/address.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <atomic>
#include <cerrno>
#include <exception>
#include <netdb.h>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// Of the std::system_error that resolve() throws; its values are getaddrinfo's (EAI_NONAME, ...).
inline const std::error_category& resolve_category() noexcept {
    static const class final : public std::error_category {
        const char* name() const noexcept override { return "getaddrinfo"; }
        std::string message(int value) const override { return ::gai_strerror(value); }
    } category;
    return category;
}

namespace detail {

struct name_query {
    /// @throws std::invalid_argument for texts that the system would see the beginning of only.
    name_query(std::string h, std::string s, int f, int hints = 0) // no aggregate: it is made inside of co_await
        : host(std::move(h)), service(std::move(s)), family(f), flags(hints) {
        require_no_zero(host, "resolve: the host");
        require_no_zero(service, "resolve: the service");
    }

    std::string host;
    std::string service;
    int family;
    int flags; // addrinfo's
};

/// Blocks, but for numbers. @throws std::system_error naming host and service.
inline std::vector<address> look_up(const name_query& query) {
    addrinfo hints{};
    hints.ai_family = query.family;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = query.flags;
    addrinfo* found = nullptr;
    const int error = calls.getaddrinfo(query.host.empty() ? nullptr : query.host.c_str(),
                                        query.service.empty() ? nullptr : query.service.c_str(), &hints, &found);
    if (error != 0) {
        const std::error_code code = error == EAI_SYSTEM ? std::error_code(errno, std::generic_category())
                                                         : std::error_code(error, resolve_category());
        throw std::system_error(code, "resolve " + host_and_port(query.host, query.service));
    }
    struct list_end {
        static void dispose(addrinfo* list) noexcept { ::freeaddrinfo(list); }
    };
    const owner<addrinfo, list_end> list(found);
    std::vector<address> all;
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
        const address one(each->ai_addr, each->ai_addrlen);
        bool known = false;
        for (const address& other : all) known = known || other == one;
        if (!known) all.push_back(one);
    }
    return all;
}

/// Without a thread, if nothing has to be asked for; else nothing.
inline std::vector<address> look_up_numbers(name_query query) {
    query.flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    try {
        return look_up(query);
    } catch (const std::system_error&) {
        return {};
    }
}

/// A question in a thread. When nobody waits for the answer any more, it does not count: another thread may take its place.
class name_job final : public executor_job {
public:
    name_job(counted_ptr<pool_core> core, name_query query) : core_(std::move(core)), query_(std::move(query)) {}

private:
    enum class phase : unsigned char { asking, abandoned, answered };

    void call() noexcept override {
        try {
            answer_.emplace(look_up(query_));
        } catch (...) {
            answer_.set_error(std::current_exception(), false);
        }
        if (phase_.exchange(phase::answered) == phase::abandoned) core_->take_back();
    }
    /// The system call goes on in its thread.
    void request_stop() noexcept override {
        auto expected = phase::asking;
        core_->lend();
        if (!phase_.compare_exchange_strong(expected, phase::abandoned)) core_->take_back();
    }
    void deliver(shared_state& c) noexcept override { complete_with(c, answer_); }

    counted_ptr<pool_core> core_;
    name_query query_;
    outcome<std::vector<address>> answer_;
    std::atomic<phase> phase_ = phase::asking;
};

/// A loop's threads for names: few, and not those of to_thread, which may all be busy.
class name_service final : public loop_pool {
public:
    static constexpr std::size_t threads = 4;

    explicit name_service(event_loop& loop) : loop_pool(loop, threads, thread_pool_options()) {}
    name_service(const name_service&) = delete;
    name_service& operator=(const name_service&) = delete;
    ~name_service() override { given_up_ = true; }

    /// A question that nobody can take back any more is not waited for.
    bool closed() const noexcept override { return core()->busy() || loop_pool::closed(); }

    template<class = void>
    static future<std::vector<address>> ask(event_loop& loop, name_query query) {
        const counted_ptr<pool_core>& core = loop.services().get<name_service>(loop).core();
        auto job = make_owner<name_job>(core, std::move(query));
        future<std::vector<address>> made(loop);
        job->submit(loop, *made.shared(), core);
        static_cast<void>(job.release());
        return made;
    }
};

template<class = void>
task<std::vector<address>> resolve(name_query query) {
    std::vector<address> known = look_up_numbers(query);
    if (!known.empty()) co_return std::move(known);
    co_return co_await name_service::ask(get_running_loop(), std::move(query));
}

} // namespace detail

/// The addresses that `host` has, in the system's order of preference, without doubles.
///
/// @param host a name or a numeric address; empty: this machine. @param port 0 to 65535, and part of each address.
/// @param family AF_INET or AF_INET6 for one kind only.
/// @throws std::system_error of resolve_category() naming the host; std::invalid_argument for a port that is none, and a
/// host or service with a zero byte.
/// Cancellation: at once; the system call goes on in its thread, its answer dropped.
/// Cost: a numeric address needs no thread. At most four questions at a time, not counting those that nobody waits for any
/// more, for which the system takes its time.
template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
task<std::vector<address>> resolve(std::string host, int port, int family = AF_UNSPEC) {
    detail::require_port(port, "resolve");
    return detail::resolve(detail::name_query(std::move(host), std::to_string(port), family));
}

/// The same with the name of a service, such as "http", or a port as text.
template<class = void>
task<std::vector<address>> resolve(std::string host, std::string service, int family = AF_UNSPEC) {
    return detail::resolve(detail::name_query(std::move(host), std::move(service), family));
}

} // namespace asynchio

#pragma GCC visibility pop
