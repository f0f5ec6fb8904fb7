// SPDX-License-Identifier: BSL-1.0
#pragma once

// The three kinds of queues behind one face.

#include <asynchio/sync.hpp>

#include <cstddef>
#include <memory>
#include <string>

namespace oracle {

class any_queue {
public:
    any_queue() = default;
    any_queue(const any_queue&) = delete;
    any_queue& operator=(const any_queue&) = delete;
    virtual ~any_queue() = default;
    virtual asynchio::task<> put(int value) = 0;
    virtual asynchio::task<int> get() = 0;
    virtual asynchio::task<> join() = 0;
    virtual void put_nowait(int value) = 0;
    virtual int get_nowait() = 0;
    virtual void task_done() = 0;
    virtual void shutdown(bool now) = 0;
    virtual std::string state() const = 0;
};

/// @param kind "fifo", "lifo" or "priority".
std::unique_ptr<any_queue> make_queue(const std::string& kind, std::size_t size);

} // namespace oracle
