# Compiler settings shared by every component, and the switches a builder may set.

option(BALLAST_TESTS "Build the test programs" ON)
set(BALLAST_SANITIZE "" CACHE STRING "Sanitizers, as the compiler spells them: address,undefined or thread")
option(BALLAST_FUZZ "Build libFuzzer targets (needs clang)" OFF)
set(BALLAST_ONLY "" CACHE STRING "Build only these components and what they stand on; empty builds all")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2")   # assertions of our own (BALLAST_CHECK) stay in release builds
set(CMAKE_C_FLAGS_RELEASE "-O2")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(Python3 COMPONENTS Interpreter REQUIRED)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(ballast_warnings INTERFACE)
target_compile_options(ballast_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)

add_library(ballast_options INTERFACE)
if(BALLAST_SANITIZE)
  # -Wmaybe-uninitialized guesses wrongly in instrumented standard headers.
  target_compile_options(ballast_options INTERFACE -fsanitize=${BALLAST_SANITIZE} -fno-omit-frame-pointer -g1
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(ballast_options INTERFACE -fsanitize=${BALLAST_SANITIZE})
  if(BALLAST_SANITIZE MATCHES "undefined")
    target_compile_options(ballast_options INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(BALLAST_FUZZ)
  target_compile_options(ballast_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(BALLAST_TESTS)
  enable_testing()
  find_package(GTest REQUIRED)
endif()
