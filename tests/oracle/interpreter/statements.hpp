// SPDX-License-Identifier: BSL-1.0
#pragma once

// The statements: tables of functions by name, and what runs blocks of them.

#include "world.hpp"

namespace oracle {

const plain_statements& task_calls();   // task_calls.cpp
const plain_statements& object_calls(); // object_calls.cpp: locks, queues, generators, context variables
const plain_statements& thread_calls(); // threads.cpp
const plain_statements& stream_calls(); // streams.cpp

const waiting_statements& basic_waits();     // basic_waits.cpp
const waiting_statements& combined_waits();  // combined_waits.cpp
const waiting_statements& nested_waits();    // nested_waits.cpp
const waiting_statements& limited_waits();   // limited_waits.cpp
const waiting_statements& object_waits();    // object_waits.cpp
const waiting_statements& generator_waits(); // generator_waits.cpp
const waiting_statements& thread_waits();    // threads.cpp
const waiting_statements& stream_waits();    // streams.cpp

void run_plain(world& w, const node& block);
aio::task<> run_block(world& w, const node& block);
aio::task<> run_statement(world& w, const node& statement);
aio::task<int> run_body(world& w, int index);
/// The body of a task that others have made: it takes the next name by itself.
/// @param parent who awaits it; may be empty.
aio::task<int> run_named(world& w, int index, std::string parent);

/// A call of the loop, with or without a handle.
struct plain_call {
    world* w;
    const node* statement;
    const node* block;

    void operator()() const {
        w->tell(*statement, "called");
        run_plain(*w, *block);
    }
};
template<class Handle>
struct plain_call_of {
    plain_call call;

    void operator()(const Handle& one) const {
        call.w->tell(*call.statement, "called " + state(one));
        run_plain(*call.w, *call.block);
    }
};

} // namespace oracle
