{
    # An alternative to CMakeLists.txt for those who have node-gyp and no CMake: the same sources, flags and output. What
    # they have in common is in native/build.gypi; what stands here is how gyp says the rest.
    "includes": ["native/build.gypi"],
    "target_defaults": {
        "cflags_cc": ["-std=c++17", "-fvisibility-inlines-hidden", "<@(eft_warnings)"],
        "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
        "defines": ["NDEBUG"],
        "xcode_settings": {
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "GCC_ENABLE_CPP_RTTI": "YES",
            "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
            "WARNING_CFLAGS": ["<@(eft_warnings)"],
        },
        "msvs_settings": {
            "VCCLCompilerTool": {"ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17", "<@(eft_warnings_msvc)"]},
        },
    },
    "targets": [
        {
            "target_name": "eft_arithmetic",
            "type": "static_library",
            "sources": ["<@(eft_arithmetic)"],
            "include_dirs": ["native"],
            "cflags_cc": ["-fPIC", "-fvisibility=hidden", "<@(eft_vectorise)"],
            "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(eft_vectorise)"]},
            "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["<@(eft_vectorise_msvc)"]}},
        },
        {
            "target_name": "eft_llama",
            "dependencies": ["eft_arithmetic"],
            "sources": [
                "<!@(node -p \"process.argv.slice(1).flatMap((folder) => require('node:fs').readdirSync('native/' + folder).filter((name) => name.endsWith('.cpp')).map((name) => 'native/' + folder + '/' + name)).join(' ')\" <@(eft_folders))",
            ],
            "sources!": ["<@(eft_arithmetic)"],
            "defines": ["<@(eft_defines)"],
            "include_dirs": [
                "native",
                "native/vendor/llama.cpp",
                "<!(node -p \"require('node-api-headers').include_dir\")",
                "<!(node -p \"require('node-addon-api').include_dir\")",
            ],
            "cflags_cc": ["-fvisibility=hidden"],
            "conditions": [["OS == 'linux'", {"libraries": ["-ldl", "-pthread"]}]],
        },
    ],
}
