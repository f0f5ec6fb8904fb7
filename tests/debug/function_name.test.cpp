// SPDX-License-Identifier: BSL-1.0
#include <asynchio/debug/function_name.hpp>

#include "support/catch.hpp"

#include <functional>
#include <source_location>
#include <string>
#include <string_view>

using asynchio::debug::function_name;

namespace {

std::string named_function() { return function_name(std::source_location::current()); }

template<class T>
std::string named_template(T) {
    return function_name(std::source_location::current());
}

struct object {
    static std::string* returns_pointer(std::string* place) {
        *place = function_name(std::source_location::current());
        return place;
    }
    std::string qualified() const& noexcept { return function_name(std::source_location::current()); }
    std::string operator()(int) const { return function_name(std::source_location::current()); }
};

} // namespace

TEST_CASE("function_name: plain functions, from both compilers") {
    CHECK(function_name("int main()") == "main");
    CHECK(function_name("main") == "main");
    CHECK(function_name("void ns::f(int, std::function<void(int)>)") == "ns::f");
    CHECK(function_name("aio::task<std::vector<std::pair<int, std::string>>> ns::f(int (*)(char))") == "ns::f");
    CHECK(function_name("const std::string& f(const std::string&)") == "f");
    CHECK(function_name("const char *f(int)") == "f");
    CHECK(function_name("static aio::task<> ns::type::make()") == "ns::type::make");
    CHECK(function_name("asynchio::task<> {anonymous}::f(int)") == "{anonymous}::f");
    CHECK(function_name("asynchio::task<> (anonymous namespace)::f(int)") == "(anonymous namespace)::f");
}

TEST_CASE("function_name: members with qualifiers") {
    CHECK(function_name("int type::f(int) const") == "type::f");
    CHECK(function_name("aio::task<> type::f() &&") == "type::f");
    CHECK(function_name("aio::task<> type::f() const & noexcept") == "type::f");
    CHECK(function_name("aio::task<> type::operator()(int) const") == "type");
}

TEST_CASE("function_name: templates, without the list of arguments") {
    CHECK(function_name("asynchio::task<T> ns::generic(T) [with T = int]") == "ns::generic");
    CHECK(function_name("aio::task<T> ns::box<std::vector<int>>::get(U) [T = std::vector<int>, U = char]") ==
          "ns::box<std::vector<int>>::get");
}

TEST_CASE("function_name: the resumed part of a coroutine as g++ names it") {
    CHECK(function_name("void amain(amain()::_Z5amainv.Frame*)") == "amain");
    CHECK(function_name("void ns::hidden(hidden(int (*)(char))::_ZN2ns6hiddenEPFicE.Frame*)") == "ns::hidden");
    CHECK(function_name("void ns::type::both(ns::type::both() &&::_ZNO2ns4type4bothEv.Frame*)") == "ns::type::both");
}

TEST_CASE("function_name: lambdas, from both compilers") {
    CHECK(function_name("main()::<lambda(int)>") == "main()::<lambda(int)>");
    CHECK(function_name("void amain()::<lambda(int, std::string)>::operator()(amain()::<lambda(int, "
                        "std::string)>::_ZZ5amainvENKUliE_clEi.Frame*)") == "amain()::<lambda(int, std::string)>");
    CHECK(function_name("void amain(amain()::_Z5amainv.Frame*)::<lambda(auto:16 ...)>::operator()(amain(amain()::"
                        "_Z5amainv.Frame*)::<lambda(auto:16 ...)> mutable::_ZZ5amainvEN.Frame*)") ==
          "amain()::<lambda(auto:16 ...)>");
    CHECK(function_name("void f(f()::_Z1fv.Frame*)::<lambda()> mutable::<lambda()>::operator()(f(f()::_Z1fv.Frame*)::"
                        "<lambda()> mutable::<lambda()>::_ZZ1f.Frame*)") == "f()::<lambda()>::<lambda()>");
    CHECK(function_name("auto amain()::(anonymous class)::operator()(int) const") == "amain()::(anonymous class)");
    CHECK(function_name("auto amain()::(anonymous class)::operator()(auto...) [auto:1 = <int, int>]") ==
          "amain()::(anonymous class)");
}

TEST_CASE("function_name: what is no function's name is left as it is") {
    CHECK(function_name("").empty());
    CHECK(function_name(")") == ")");
    CHECK(function_name(".Frame*)") == ".Frame*)");
    CHECK(function_name(std::source_location()).empty());
}

TEST_CASE("function_name: what this compiler says of its functions") {
    const auto ends_with = [](const std::string& text, std::string_view end) { return text.ends_with(end); };
    CHECK(ends_with(named_function(), "::named_function"));
    CHECK(ends_with(named_template(1), "::named_template"));
    std::string place;
    CHECK(ends_with(*object::returns_pointer(&place), "::object::returns_pointer"));
    CHECK(ends_with(object().qualified(), "::object::qualified"));
    CHECK(ends_with(object()(1), "::object"));
}
