# The adapters, and what they need: the target asynchio::NAME is asynchio with the library that adapters/NAME.hpp adapts,
# as pkg-config tells of it. Read by asynchio's CMakeLists.txt, and by find_package(asynchio COMPONENTS NAME).

include_guard(DIRECTORY)

# The names, and beside each what pkg-config knows the library as.
set(asynchio_adapters hiredis libcurl libpq openssl sqlite)
set(asynchio_adapter_modules "hiredis >= 0.14" "libcurl >= 7.68" "libpq >= 14" "openssl >= 1.1.1" "sqlite3 >= 3.35")

# Makes the target asynchio::NAME unless it is there already. RESULT is empty then; otherwise it says what is missing.
function(asynchio_add_adapter name result)
    set(${result} "" PARENT_SCOPE)
    if(TARGET asynchio::${name})
        return()
    endif()
    list(FIND asynchio_adapters ${name} at)
    if(at LESS 0)
        list(JOIN asynchio_adapters ", " names)
        set(${result} "asynchio has no component ${name}; it has ${names}" PARENT_SCOPE)
        return()
    endif()
    list(GET asynchio_adapter_modules ${at} module)
    find_package(PkgConfig QUIET)
    if(NOT PkgConfig_FOUND)
        set(${result} "asynchio::${name} needs pkg-config to find ${module}" PARENT_SCOPE)
        return()
    endif()
    string(REPLACE " " "" wanted "${module}")
    pkg_check_modules(asynchio_${name} QUIET IMPORTED_TARGET GLOBAL "${wanted}")
    if(NOT asynchio_${name}_FOUND)
        set(${result} "asynchio::${name} needs ${module}, which pkg-config does not find" PARENT_SCOPE)
        return()
    endif()
    add_library(asynchio::${name} INTERFACE IMPORTED GLOBAL)
    target_link_libraries(asynchio::${name} INTERFACE asynchio::asynchio PkgConfig::asynchio_${name})
endfunction()
