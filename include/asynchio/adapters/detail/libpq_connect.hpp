// SPDX-License-Identifier: BSL-1.0
#pragma once

// How a connection of libpq is opened without blocking.

#include <asynchio/adapters/detail/libpq_pipeline.hpp>
#include <asynchio/adapters/detail/libpq_session.hpp>
#include <asynchio/adapters/libpq_error.hpp>
#include <asynchio/io/address.hpp>
#include <asynchio/io/resolve.hpp>
#include <asynchio/io/wait_readable.hpp>
#include <asynchio/task/task.hpp>

#include <libpq-fe.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace asynchio::libpq::detail {

/// The options of a connection, by name.
class settings {
public:
    explicit settings(const std::string& conninfo) {
        struct freed {
            void operator()(PQconninfoOption* given) const noexcept { PQconninfoFree(given); }
        };
        char* why = nullptr;
        const std::unique_ptr<PQconninfoOption, freed> parsed(PQconninfoParse(conninfo.c_str(), &why));
        if (parsed == nullptr) {
            const std::string text = why != nullptr ? one_line(why) : "no memory";
            PQfreemem(why);
            throw connection_error("the connection string: " + text);
        }
        for (const PQconninfoOption* each = parsed.get(); each->keyword != nullptr; ++each)
            if (each->val != nullptr) all_.push_back({each->keyword, each->val});
    }

    std::string get(std::string_view name, const char* environment) const {
        for (const one& each : all_)
            if (each.name == name) return each.value;
        const char* value = std::getenv(environment);
        return value != nullptr ? value : "";
    }
    void set(std::string_view name, std::string value) {
        for (one& each : all_) {
            if (each.name == name) {
                each.value = std::move(value);
                return;
            }
        }
        all_.push_back({std::string(name), std::move(value)});
    }
    owned_connection start() const {
        std::vector<const char*> names, values;
        for (const one& each : all_) {
            names.push_back(each.name.c_str());
            values.push_back(each.value.c_str());
        }
        names.push_back(nullptr);
        values.push_back(nullptr);
        return owned_connection(PQconnectStartParams(names.data(), values.data(), 0));
    }

private:
    struct one {
        std::string name, value;
    };
    std::vector<one> all_;
};

inline std::vector<std::string> parts_of(const std::string& list) {
    std::vector<std::string> parts(1);
    for (const char each : list) {
        if (each == ',')
            parts.emplace_back();
        else
            parts.back() += each;
    }
    return parts;
}

/// Looks up the names of hosts, which libpq would do itself, and block.
template<class = void>
task<> resolve_hosts(settings& with) {
    const std::string hosts = with.get("host", "PGHOST");
    if (hosts.empty() || !with.get("hostaddr", "PGHOSTADDR").empty()) co_return;
    const std::vector<std::string> names = parts_of(hosts);
    const std::vector<std::string> ports = parts_of(with.get("port", "PGPORT"));
    if (ports.size() != 1 && ports.size() != names.size()) co_return; // libpq tells that
    std::string host_list, address_list, port_list, why;
    bool any = false;
    const auto add = [&](const std::string& name, const std::string& address, const std::string& port) {
        const char* between = any ? "," : "";
        host_list += between + name;
        address_list += between + address;
        port_list += between + port;
        any = true;
    };
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::string& port = ports.size() == 1 ? ports[0] : ports[i];
        if (names[i].empty() || names[i][0] == '/' || names[i][0] == '@') {
            add(names[i], "", port);
            continue;
        }
        try {
            const std::vector<address> found = co_await resolve(names[i], 0);
            for (const address& each : found) add(names[i], each.host(), port);
        } catch (const std::system_error& e) {
            why = "host \"" + names[i] + "\": " + e.code().message();
        }
    }
    if (!any) throw connection_error(why.empty() ? "host \"" + hosts + "\" has no address" : why);
    with.set("host", host_list);
    with.set("hostaddr", address_list);
    with.set("port", port_list);
}

template<class = void>
task<std::shared_ptr<session>> connect(settings with, std::size_t statements) {
    co_await detail::resolve_hosts(with);
    auto made = std::make_shared<session>(with.start(), statements);
    session& s = *made;
    if (s.raw() == nullptr) throw std::bad_alloc();
    PQsetNoticeReceiver(s.raw(), [](void*, const PGresult*) {}, nullptr);
    auto next = PGRES_POLLING_WRITING;
    while (next != PGRES_POLLING_OK) {
        if (next == PGRES_POLLING_FAILED || PQstatus(s.raw()) == CONNECTION_BAD) s.lose(s.text());
        if (next == PGRES_POLLING_READING)
            co_await wait_readable(s.descriptor());
        else
            co_await wait_writable(s.descriptor());
        next = PQconnectPoll(s.raw());
    }
    if (PQsetnonblocking(s.raw(), 1) != 0) s.lose(s.text());
    co_return std::move(made);
}

} // namespace asynchio::libpq::detail

#pragma GCC visibility pop
