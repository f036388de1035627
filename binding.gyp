{
    # An alternative to CMakeLists.txt for those who have node-gyp and no CMake: the same sources, flags and output.
    "variables": {
        "arithmetic": [
            "native/math/combine.cpp", "native/math/constrain.cpp", "native/math/fuse.cpp", "native/math/sample.cpp",
            "native/math/speculate.cpp",
        ],
        "warnings": ["-Wall", "-Wextra"],
    },
    "target_defaults": {
        "cflags_cc": ["-std=c++17", "-fvisibility-inlines-hidden", "<@(warnings)"],
        "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
        "defines": ["NDEBUG"],
        "xcode_settings": {
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "GCC_ENABLE_CPP_RTTI": "YES",
            "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
            "WARNING_CFLAGS": ["<@(warnings)"],
        },
        "msvs_settings": {
            "VCCLCompilerTool": {"ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17", "/W4", "/utf-8"]},
        },
    },
    "targets": [
        {
            "target_name": "eft_arithmetic",
            "type": "static_library",
            "sources": ["<@(arithmetic)"],
            "include_dirs": ["native"],
            "variables": {
                "vectorise": ["-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"],
            },
            "cflags_cc": ["-fPIC", "-fvisibility=hidden", "<@(vectorise)"],
            "xcode_settings": {"OTHER_CPLUSPLUSFLAGS": ["<@(vectorise)"]},
            "msvs_settings": {"VCCLCompilerTool": {"AdditionalOptions": ["/openmp:experimental"]}},
        },
        {
            "target_name": "eft_llama",
            "dependencies": ["eft_arithmetic"],
            "sources": [
                "<!@(node -p \"['math', 'llama', 'jobs', 'node'].flatMap((folder) => require('node:fs').readdirSync('native/' + folder).filter((name) => name.endsWith('.cpp')).map((name) => 'native/' + folder + '/' + name)).join(' ')\")",
            ],
            "sources!": ["<@(arithmetic)"],
            "defines": [
                "NAPI_VERSION=8",
                "NODE_ADDON_API_CPP_EXCEPTIONS",
                "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
            ],
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
