// SPDX-License-Identifier: BSL-1.0
#pragma once

// create_task as a member of the classes that make tasks, the event loop and the task group, with the line of the call.

#include <source_location>
#include <utility>

#pragma GCC visibility push(default)

namespace asynchio::detail {

/// Gives `Owner` the overloads of create_task. All of them call its `create_task_at(line, what...)`, which has the one
/// rule of what the arguments mean. A default argument cannot stand behind a pack, so each number of arguments has an
/// overload, up to one option in front, the callable and six arguments for it.
template<class Owner>
class task_creator {
public:
    template<class A>
    [[gnu::always_inline]] auto create_task(A&& a, std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a));
    }
    template<class A, class B>
    auto create_task(A&& a, B&& b, std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a), std::forward<B>(b));
    }
    template<class A, class B, class C>
    auto create_task(A&& a, B&& b, C&& c, std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c));
    }
    template<class A, class B, class C, class D>
    auto create_task(A&& a, B&& b, C&& c, D&& d, std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                                     std::forward<D>(d));
    }
    template<class A, class B, class C, class D, class E>
    auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                                     std::forward<D>(d), std::forward<E>(e));
    }
    template<class A, class B, class C, class D, class E, class F>
    auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f,
                     std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                                     std::forward<D>(d), std::forward<E>(e), std::forward<F>(f));
    }
    template<class A, class B, class C, class D, class E, class F, class G>
    auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f, G&& g,
                     std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                                     std::forward<D>(d), std::forward<E>(e), std::forward<F>(f), std::forward<G>(g));
    }
    template<class A, class B, class C, class D, class E, class F, class G, class H>
    auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f, G&& g, H&& h,
                     std::source_location line = std::source_location::current()) {
        return self().create_task_at(line, std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                                     std::forward<D>(d), std::forward<E>(e), std::forward<F>(f), std::forward<G>(g),
                                     std::forward<H>(h));
    }
    /// Makes a task of more arguments. The line of the call is not known then; reports name the function instead.
    template<class A, class B, class C, class D, class E, class F, class G, class H, class I, class... More>
    auto create_task(A&& a, B&& b, C&& c, D&& d, E&& e, F&& f, G&& g, H&& h, I&& i, More&&... more) {
        return self().create_task_at(std::source_location(), std::forward<A>(a), std::forward<B>(b), std::forward<C>(c),
                                     std::forward<D>(d), std::forward<E>(e), std::forward<F>(f), std::forward<G>(g),
                                     std::forward<H>(h), std::forward<I>(i), std::forward<More>(more)...);
    }

protected:
    task_creator() = default;
    task_creator(const task_creator&) = default;
    task_creator& operator=(const task_creator&) = default;
    ~task_creator() = default;

private:
    Owner& self() noexcept { return static_cast<Owner&>(*this); }
};

} // namespace asynchio::detail

#pragma GCC visibility pop
