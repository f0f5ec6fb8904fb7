// SPDX-License-Identifier: BSL-1.0
#pragma once

// Resolving the name of a host without blocking the loop: getaddrinfo(3) in threads of its own.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/core/detail/failures.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/system_calls.hpp>
#include <asynchio/task/detail/user_line.hpp>
#include <asynchio/task/task.hpp>
#include <asynchio/thread/to_thread.hpp>

#include <atomic>
#include <cerrno>
#include <exception>
#include <netdb.h>
#include <new>
#include <source_location>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio {

/// Returns the category of the std::system_error that resolve() throws. Its values are those of getaddrinfo(3), such as
/// EAI_NONAME.
/// Threads: any thread may call it.
inline const std::error_category& resolve_category() noexcept {
    static const class final : public std::error_category {
        const char* name() const noexcept override { return "getaddrinfo"; }
        std::string message(int value) const override { return ::gai_strerror(value); }
    } category;
    return category;
}

namespace detail {

struct name_query {
    /// @throws std::invalid_argument for texts with a zero byte.
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

/// Calls getaddrinfo(3), which blocks unless host and service are numbers.
/// @throws std::system_error with host and service in its text.
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

/// Returns the address if host and service are numbers, which needs no thread; else nothing.
inline std::vector<address> look_up_numbers(name_query query) {
    query.flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    try {
        return look_up(query);
    } catch (const std::system_error&) {
        return {};
    }
}

/// A question in a thread. When no task waits for its answer any more, it does not count: another thread may take its
/// place.
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

/// The threads of a loop that resolve names: few, and not those of to_thread, which may all be busy.
class name_service final : public loop_pool {
public:
    static constexpr std::size_t threads = 4;

    explicit name_service(loop_core& loop) : loop_pool(loop, threads, thread_pool_options()) {}
    name_service(const name_service&) = delete;
    name_service& operator=(const name_service&) = delete;
    ~name_service() override { given_up_ = true; }

    /// A question whose system call runs is not waited for: nothing can end it.
    bool closed() const noexcept override { return core()->busy() || loop_pool::closed(); }

    template<class = void>
    static future<std::vector<address>> ask(loop_core& loop, name_query query) {
        const counted_ptr<pool_core>& core = loop.services().get<name_service>(loop).core();
        auto job = make_owner<name_job>(core, std::move(query));
        future<std::vector<address>> made(loop_of(loop));
        job->submit(loop, *access::state(made), core);
        static_cast<void>(job.release());
        return made;
    }
};

/// Reports, at its end, a look-up that took long.
template<class = void>
class slow_look_up {
public:
    slow_look_up(loop_core& loop, const name_query& query)
        : loop_(loop), what_(host_and_port(query.host, query.service)), began_(steady_now()) {}
    slow_look_up(const slow_look_up&) = delete;
    slow_look_up& operator=(const slow_look_up&) = delete;
    ~slow_look_up() {
        const nanoseconds_count took = steady_now() - began_;
        if (took < loop_.slow_step() || loop_.closing()) return;
        try {
            loop_.report(formatted("to resolve %s took %.3f seconds", what_.c_str(), static_cast<double>(took) * 1e-9),
                         {}, line_);
        } catch (const std::bad_alloc&) { // no memory for a report
        }
    }

private:
    loop_core& loop_;
    std::string what_;
    std::source_location line_ = user_line();
    nanoseconds_count began_;
};

template<class = void>
task<std::vector<address>> resolve(name_query query) {
    std::vector<address> known = look_up_numbers(query);
    if (!known.empty()) co_return std::move(known);
    loop_core& loop = running_core();
    if (!loop.debug()) co_return co_await name_service::ask(loop, std::move(query));
    const slow_look_up<> report(loop, query);
    co_return co_await name_service::ask(loop, std::move(query));
}

} // namespace detail

/// Finds the addresses of a host.
///
/// @param host a name or a numeric address; an empty string stands for this machine.
/// @param port 0 to 65535; it becomes part of each address.
/// @param family AF_INET or AF_INET6 restricts the answer to addresses of that family.
/// @return the IP addresses in the system's order of preference, without duplicates.
/// @throws std::system_error of resolve_category() with the host in its text.
/// @throws std::invalid_argument for a port outside of that range and for a host with a zero byte.
/// Cancellation: at once. The system call goes on in its thread, and its answer is dropped.
/// Cost: a numeric address needs no thread. A loop asks at most four questions at a time; those whose task was
/// cancelled do not count.
/// Example: `for (const aio::address& each : co_await aio::resolve("localhost", 80)) ...`
/// See also: open_connection, which resolves by itself.
template<class = void> // a template: g++ makes code of every other coroutine, also where it is not used
task<std::vector<address>> resolve(std::string host, int port, int family = AF_UNSPEC) {
    detail::require_port(port, "resolve");
    return detail::resolve(detail::name_query(std::move(host), std::to_string(port), family));
}

/// Finds the addresses of a host and a service.
///
/// @param host a name or a numeric address; an empty string stands for this machine.
/// @param service a name such as "http", or a port as text; the port becomes part of each address.
/// @param family AF_INET or AF_INET6 restricts the answer to addresses of that family.
/// @return the IP addresses in the system's order of preference, without duplicates.
/// @throws std::system_error of resolve_category() with host and service in its text; std::invalid_argument for a host
/// or service with a zero byte.
/// Cancellation: at once. The system call goes on in its thread, and its answer is dropped.
template<class = void>
task<std::vector<address>> resolve(std::string host, std::string service, int family = AF_UNSPEC) {
    return detail::resolve(detail::name_query(std::move(host), std::move(service), family));
}

} // namespace asynchio

#pragma GCC visibility pop
