// check_layout() of whichever headers it is compiled with, on real libraries: check-layout <libggml-base> <libggml>
// <libllama>. Says nothing, or what is refused. Compiled by test/engine/layout.test.ts.
#include <dlfcn.h>

#include <cstdio>

#include "failure.h"
#include "llama/layout.h"

int main(int, char ** files) {
    void * library = nullptr;
    while (*++files) {
        library = dlopen(*files, RTLD_NOW);
        if (!library) return std::puts(dlerror()), 2;
    }
    eft::LlamaApi api;
#define EFT_FIND(name) api.name = reinterpret_cast<decltype(api.name)>(dlsym(library, #name));
    EFT_FIND(llama_version)
    EFT_FIND(llama_model_default_params)
    EFT_FIND(llama_context_default_params)
    EFT_FIND(llama_batch_get_one)
    EFT_FIND(ggml_threadpool_params_default)
    try {
        eft::check_layout(api, "libllama");
    } catch (const eft::Failure & failure) {
        std::printf("%s: %s\n", failure.code.c_str(), failure.what());
    }
    return 0;
}
