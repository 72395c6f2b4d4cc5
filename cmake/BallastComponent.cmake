# ballast_component(NAME ...) declares one component of the house: everything in its folder.
#
#   USES         components it may include from: lower layers, or siblings named here
#   MAY_USE      the same for a program of the component that is built where they are; it does without them
#   SOURCES      .cc files of the library
#   LIBRARIES    imported targets or libraries, hidden from the components above (PRIVATE)
#   PUBLIC_LIBRARIES  those whose headers our own headers include
#   SYSTEM_INCLUDES   include folders of heavy libraries, seen by this component only
#   PCH          headers that are heavy to compile, precompiled for this component
#   PROGRAM      main.cc and one file a verb: becomes bin/ballast-NAME
#   PROGRAM_LIBRARIES libraries that only the program needs (peers of its bench verb)
#   TESTS        *_test.cc: one program bin/ballast-NAME-test, one ctest entry NAME
#   TEST_LIBRARIES    libraries that only the tests need
#   TEST_COMMAND prefix of the test command
#   FUZZ         *_fuzz.cc: one libFuzzer program each when BALLAST_FUZZ is on; a short run is a test
#   NATIVE       compile for the instruction set of the building machine
#   COMPILE_OPTIONS   further options of this component's own sources
#
# A component is the target ballast::NAME. Its headers are reached as "ballast/NAME/x.h" through a folder that
# only its declared users have on their include path, so a forbidden include does not compile; and
# cmake/check_includes.py names the offending line in a sentence before the compiler is asked.

set(BALLAST_LAYER_base 0)
foreach(name cluster cost data llama)
  set(BALLAST_LAYER_${name} 1)
endforeach()
foreach(name orch loop)
  set(BALLAST_LAYER_${name} 2)
endforeach()
foreach(name kv graph index ragged dynamic model)
  set(BALLAST_LAYER_${name} 3)
endforeach()
foreach(name serve tune federate codesign robot)
  set(BALLAST_LAYER_${name} 4)
endforeach()
set(BALLAST_LAYER_cli 5)

define_property(GLOBAL PROPERTY BALLAST_DECLARED BRIEF_DOCS "Components declared so far")

# Sets WANTED in the caller's scope: whether NAME is to be built.
function(ballast_wanted name out)
  string(TOUPPER ${name} upper)
  option(BALLAST_${upper} "Build the ${name} component" ON)
  set(${out} ${BALLAST_${upper}} PARENT_SCOPE)
  if(BALLAST_ONLY AND NOT name STREQUAL "base" AND NOT name STREQUAL "cli")
    separate_arguments(only UNIX_COMMAND "${BALLAST_ONLY}")
    execute_process(
      COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/closure.py ${CMAKE_SOURCE_DIR} ${only}
      OUTPUT_VARIABLE closure OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    separate_arguments(closure)
    if(NOT name IN_LIST closure)
      set(${out} OFF PARENT_SCOPE)
    endif()
  endif()
endfunction()

# Lets a program use its library's precompiled header, for which both must be compiled with the same -fPIC.
function(ballast_reuse_precompiled program library)
  set_target_properties(${program} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${program} PRIVATE -fPIC)
  target_precompile_headers(${program} REUSE_FROM ${library})
endfunction()

function(ballast_component name)
  cmake_parse_arguments(ARG "NATIVE" ""
    "USES;MAY_USE;SOURCES;LIBRARIES;PUBLIC_LIBRARIES;SYSTEM_INCLUDES;PCH;PROGRAM;PROGRAM_LIBRARIES;TESTS;TEST_LIBRARIES;TEST_COMMAND;FUZZ;COMPILE_OPTIONS"
    ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "component ${name}: unknown words in its declaration: ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT DEFINED BALLAST_LAYER_${name})
    message(FATAL_ERROR "component ${name} has no layer: add it to cmake/BallastComponent.cmake")
  endif()
  foreach(used IN LISTS ARG_USES ARG_MAY_USE)
    if(NOT DEFINED BALLAST_LAYER_${used})
      message(FATAL_ERROR "component ${name} uses '${used}', which is no component")
    endif()
    if(BALLAST_LAYER_${used} GREATER BALLAST_LAYER_${name})
      message(FATAL_ERROR "component ${name} may not use ${used}: it lies in a layer above")
    endif()
  endforeach()

  ballast_wanted(${name} wanted)
  if(NOT wanted)
    return()
  endif()
  foreach(used IN LISTS ARG_USES)
    if(NOT TARGET ballast::${used})
      message(STATUS "component ${name} left out: it needs ${used}, which is not built")
      return()
    endif()
  endforeach()
  set_property(GLOBAL APPEND PROPERTY BALLAST_DECLARED ${name})
  set_property(GLOBAL PROPERTY BALLAST_USES_${name} ${ARG_USES} ${ARG_MAY_USE})

  # The door to this component's headers: build/house/NAME/ballast/NAME -> ballast/NAME.
  set(door ${CMAKE_BINARY_DIR}/house/${name})
  file(MAKE_DIRECTORY ${door}/ballast)
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${door}/ballast/${name} SYMBOLIC)

  if(ARG_SOURCES)
    add_library(ballast_${name} STATIC ${ARG_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(ballast_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(ballast::${name} ALIAS ballast_${name})
  target_include_directories(ballast_${name} ${scope} ${door})
  list(TRANSFORM ARG_USES PREPEND ballast::)
  target_link_libraries(ballast_${name} ${scope} ${ARG_USES} ${ARG_PUBLIC_LIBRARIES} Threads::Threads)
  add_library(ballast_${name}_private INTERFACE)
  target_link_libraries(ballast_${name}_private INTERFACE ballast_warnings ballast_options ${ARG_LIBRARIES})
  target_compile_options(ballast_${name}_private INTERFACE ${ARG_COMPILE_OPTIONS})
  if(ARG_SYSTEM_INCLUDES)
    target_include_directories(ballast_${name}_private SYSTEM INTERFACE ${ARG_SYSTEM_INCLUDES})
  endif()
  if(ARG_NATIVE)
    target_compile_options(ballast_${name}_private INTERFACE -march=native)
  endif()
  if(ARG_SOURCES)
    target_link_libraries(ballast_${name} PRIVATE ballast_${name}_private)
    add_dependencies(ballast_${name} ballast_check_includes)
    if(ARG_PCH)
      target_precompile_headers(ballast_${name} PRIVATE ${ARG_PCH})
    endif()
  endif()

  if(ARG_PROGRAM)
    add_executable(ballast-${name} ${ARG_PROGRAM})
    target_link_libraries(ballast-${name} PRIVATE ballast::${name} ballast_${name}_private ${ARG_PROGRAM_LIBRARIES})
    if(ARG_PCH AND ARG_SOURCES)
      ballast_reuse_precompiled(ballast-${name} ballast_${name})
    endif()
    install(TARGETS ballast-${name} DESTINATION libexec/ballast)
  endif()
  if(NOT name STREQUAL "cli")
    ballast_install_component(${name} USES ${ARG_USES} LIBRARIES ${ARG_PUBLIC_LIBRARIES} ${ARG_LIBRARIES})
  endif()

  if(ARG_TESTS AND BALLAST_TESTS)
    add_executable(ballast-${name}-test ${ARG_TESTS})
    target_link_libraries(ballast-${name}-test PRIVATE ballast::${name} ballast_${name}_private ballast_test_main
                          GTest::gmock ${ARG_TEST_LIBRARIES})
    if(ARG_PCH AND ARG_SOURCES)
      ballast_reuse_precompiled(ballast-${name}-test ballast_${name})
    endif()
    target_compile_definitions(ballast-${name}-test PRIVATE
      BALLAST_SOURCE_DIR="${CMAKE_SOURCE_DIR}" BALLAST_BINARY_DIR="${CMAKE_BINARY_DIR}")
    if(ARG_PROGRAM)
      add_dependencies(ballast-${name}-test ballast-${name})
    endif()
    add_test(NAME ${name} COMMAND ${ARG_TEST_COMMAND} $<TARGET_FILE:ballast-${name}-test>
             WORKING_DIRECTORY ${CMAKE_BINARY_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 900 ENVIRONMENT "BALLAST_LEFT_OUT=${CMAKE_BINARY_DIR}/left-out/${name}.txt")
  endif()

  if(ARG_FUZZ AND BALLAST_FUZZ)
    foreach(source IN LISTS ARG_FUZZ)
      get_filename_component(stem ${source} NAME_WE)
      add_executable(ballast-${name}-${stem} ${source})
      target_link_libraries(ballast-${name}-${stem} PRIVATE ballast::${name} ballast_${name}_private)
      target_link_options(ballast-${name}-${stem} PRIVATE -fsanitize=fuzzer)
      add_dependencies(fuzz-programs ballast-${name}-${stem})
      add_test(NAME ${name}.${stem} COMMAND $<TARGET_FILE:ballast-${name}-${stem}> -runs=20000 -max_total_time=20)
    endforeach()
  endif()
endfunction()

include(BallastInstall)

# Called once, last: what was declared is written down for the include checker, `ballast doctor` and the tour.
function(ballast_finish)
  get_property(declared GLOBAL PROPERTY BALLAST_DECLARED)
  set(text "")
  foreach(name IN LISTS declared)
    get_property(uses GLOBAL PROPERTY BALLAST_USES_${name})
    string(JOIN " " uses ${uses})
    string(APPEND text "${name}: ${uses}\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/components.txt CONTENT "${text}" @ONLY)
  message(STATUS "components: ${declared}")
  ballast_install_house()
endfunction()

add_custom_target(fuzz-programs)
add_custom_target(ballast_check_includes
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/check_includes.py ${CMAKE_SOURCE_DIR}
          ${CMAKE_BINARY_DIR}/components.txt
  COMMENT "Checking that every include points downwards" VERBATIM)
