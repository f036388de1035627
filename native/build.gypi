{
    "variables": {
        "eft_folders": ["math", "llama", "jobs", "node"],
        "eft_arithmetic": [
            "native/math/combine.cpp",
            "native/math/constrain.cpp",
            "native/math/fuse.cpp",
            "native/math/sample.cpp",
            "native/math/speculate.cpp"
        ],
        "eft_vectorise": ["-O3", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math"],
        "eft_vectorise_msvc": ["/openmp:experimental"],
        "eft_warnings": ["-Wall", "-Wextra"],
        "eft_warnings_msvc": ["/W4", "/utf-8"],
        "eft_defines": [
            "NAPI_VERSION=8",
            "NODE_ADDON_API_CPP_EXCEPTIONS",
            "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
        ]
    }
}
