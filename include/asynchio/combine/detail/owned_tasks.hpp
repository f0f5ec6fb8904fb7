// SPDX-License-Identifier: BSL-1.0
#pragma once

// The tasks of a vector as the children of a set, in the memory that they came in.

#include <asynchio/core/detail/access.hpp>
#include <asynchio/task/detail/child_set.hpp>

#include <cstddef>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::detail {

template<class T>
class owned_tasks {
public:
    using value_type = owned_child<T, false, task_state<T>*&>;

    class iterator {
    public:
        explicit iterator(task<T>* at) noexcept : at_(at) {}
        value_type operator*() const noexcept { return value_type(access::state(*at_)); }
        iterator& operator++() noexcept {
            ++at_;
            return *this;
        }
        bool operator==(const iterator&) const noexcept = default;

    private:
        task<T>* at_;
    };

    /// @throws std::logic_error for an empty task.
    explicit owned_tasks(std::vector<task<T>>&& tasks) : tasks_(std::move(tasks)) {
        for (task<T>& each : tasks_) value_type::require_task(access::state(each));
    }
    owned_tasks(owned_tasks&& other) noexcept : tasks_(std::move(other.tasks_)) {}
    owned_tasks& operator=(owned_tasks&&) = delete;
    ~owned_tasks() {
        for (task<T>& each : tasks_)
            if (each) value_type::give_up(*access::release(each));
    }

    std::size_t size() const noexcept { return tasks_.size(); }
    bool empty() const noexcept { return tasks_.empty(); }
    value_type operator[](std::size_t i) noexcept { return value_type(access::state(tasks_[i])); }
    /// Drops the tasks, all of which were taken.
    void clear() noexcept { tasks_.clear(); }
    iterator begin() noexcept { return iterator(tasks_.data()); }
    iterator end() noexcept { return iterator(tasks_.data() + tasks_.size()); }

private:
    std::vector<task<T>> tasks_;
};

} // namespace asynchio::detail

#pragma GCC visibility pop
