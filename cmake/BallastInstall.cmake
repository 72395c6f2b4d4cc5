# What `make install` and the Debian package hold: the front command, the programs in libexec/ballast, and for C++ each
# component's headers and library with a CMake package:
#
#   find_package(Ballast REQUIRED COMPONENTS graph serve)
#   target_link_libraries(mine PRIVATE ballast::graph ballast::serve)

# Which find_dependency brings a library, by the beginning of its target's name.
set(BALLAST_PACKAGE_OF
    "absl::=absl" "fmt::=fmt" "nlohmann_json::=nlohmann_json" "CLI11::=CLI11" "ZLIB::=ZLIB" "yaml-cpp=yaml-cpp" "TBB::=TBB"
    "MPI::=MPI COMPONENTS C" "Boost::=Boost 1.74" "OpenSSL::=OpenSSL" "prometheus-cpp::=prometheus-cpp" "torch=Torch"
    "onnx=ONNX" "CycloneDDS::=CycloneDDS" "opencv_=OpenCV" "SQLite::=SQLite3" "Eigen3::=Eigen3" "gRPC::=gRPC"
    "protobuf::=Protobuf" "Threads::=Threads" "OpenMP::=OpenMP" "LLVM-=LLVM" "highs::=highs" "libsodium=")

# Appends to the list OUT what find_dependency must bring for LIBRARY, if it is known.
function(ballast_package_of library out)
  foreach(pair IN LISTS BALLAST_PACKAGE_OF)
    string(REGEX MATCH "^([^=]*)=(.*)$" _ "${pair}")
    string(FIND "${library}" "${CMAKE_MATCH_1}" at)
    if(at EQUAL 0 AND NOT "${CMAKE_MATCH_2}" STREQUAL "")
      set(${out} ${${out}} "${CMAKE_MATCH_2}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# Writes lib/cmake/Ballast/ballast-NAME.cmake and installs the component's library and headers. LIBRARIES are those
# that its archive needs; archives that this build made itself (llama.cpp's) are installed beside it.
function(ballast_install_component name)
  cmake_parse_arguments(ARG "" "" "USES;LIBRARIES" ${ARGN})
  set(packages Threads)
  set(links Threads::Threads)
  list(PREPEND links ${ARG_USES})
  while(ARG_LIBRARIES)
    list(POP_FRONT ARG_LIBRARIES library)
    if(TARGET ${library})
      get_target_property(imported ${library} IMPORTED)
      get_target_property(type ${library} TYPE)
      if(NOT imported AND type STREQUAL "STATIC_LIBRARY")
        install(FILES $<TARGET_FILE:${library}> DESTINATION lib/ballast)
        list(APPEND links "@PREFIX@/lib/ballast/lib${library}.a")
        get_target_property(inner ${library} LINK_LIBRARIES)
        foreach(item IN LISTS inner)
          if(TARGET ${item} AND NOT item MATCHES "^ballast_(options|warnings)$" OR item MATCHES "^[a-z]+$|^[A-Za-z]+::")
            list(APPEND ARG_LIBRARIES ${item})
          endif()
        endforeach()
        continue()
      endif()
    endif()
    list(APPEND links ${library})
    ballast_package_of(${library} packages)
  endwhile()
  list(REMOVE_DUPLICATES packages)

  set(text "# Written by the build: component ${name} and what it stands on.\n")
  foreach(used IN LISTS ARG_USES)
    string(REPLACE "ballast::" "" used ${used})
    string(APPEND text "include(\${CMAKE_CURRENT_LIST_DIR}/ballast-${used}.cmake)\n")
  endforeach()
  foreach(package IN LISTS packages)
    if(package STREQUAL "LLVM")
      string(APPEND text "find_library(BALLAST_LLVM LLVM-19 PATHS /usr/lib/llvm-19/lib REQUIRED)\n")
      list(TRANSFORM links REPLACE "^LLVM-19$" "\${BALLAST_LLVM}")
    elseif(package STREQUAL "ONNX")  # its targets need Protobuf's
      string(APPEND text "find_dependency(Protobuf)\nfind_dependency(ONNX)\n")
    else()
      string(APPEND text "find_dependency(${package})\n")
    endif()
  endforeach()
  list(TRANSFORM links REPLACE "^@PREFIX@" "\${BALLAST_PREFIX}")
  get_target_property(type ballast_${name} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    set(kind STATIC)
    set(location "set_target_properties(ballast::${name} PROPERTIES IMPORTED_LOCATION \${BALLAST_PREFIX}/lib/ballast/libballast_${name}.a)\n")
    install(TARGETS ballast_${name} ARCHIVE DESTINATION lib/ballast)
  else()
    set(kind INTERFACE)
    set(location "")
  endif()
  string(APPEND text "if(NOT TARGET ballast::${name})\n"
    "add_library(ballast::${name} ${kind} IMPORTED)\n${location}"
    "target_include_directories(ballast::${name} INTERFACE \${BALLAST_PREFIX}/include)\n"
    "target_compile_features(ballast::${name} INTERFACE cxx_std_20)\n"
    "target_link_libraries(ballast::${name} INTERFACE ${links})\n"
    "endif()\nset(Ballast_${name}_FOUND TRUE)\n")
  string(REPLACE ";" " " text "${text}")
  set(file ${CMAKE_BINARY_DIR}/package/ballast-${name}.cmake)
  file(WRITE ${file} "${text}")
  install(FILES ${file} DESTINATION lib/cmake/Ballast)
  install(DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/ DESTINATION include/ballast/${name} FILES_MATCHING PATTERN "*.h"
          PATTERN "peers" EXCLUDE PATTERN "verbs" EXCLUDE PATTERN "*_verb.h" EXCLUDE PATTERN "test*" EXCLUDE)
endfunction()

# The package's own files, and the Debian package. Called once, last.
function(ballast_install_house)
  include(CMakePackageConfigHelpers)
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/BallastConfigVersion.cmake
                                   VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_SOURCE_DIR}/cmake/BallastConfig.cmake ${CMAKE_BINARY_DIR}/package/BallastConfigVersion.cmake
          DESTINATION lib/cmake/Ballast)
  install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION share/doc/ballast)

  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGE_NAME ballast)
  set(CPACK_PACKAGE_CONTACT "The Ballast founders <ballast@localhost>")
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  set(CPACK_STRIP_FILES ON)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SECTION science)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # what the programs link with, by dpkg-shlibdeps
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3, redis-tools, openmpi-bin")
  include(CPack)
endfunction()
