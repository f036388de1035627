#include "llama/api.h"

#include <exception>
#include <mutex>
#include <vector>

#include "failure.h"
#include "llama/copies.h"
#include "llama/layout.h"
#include "llama/log.h"
#include "vendor/llama.cpp/version.h"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

namespace eft {
namespace {

// The libraries exist once a process whatever the number of addon environments, and so does this table.
std::mutex opening;
LlamaApi api;
bool opened = false;

void * open_library(const std::string & path) {
#ifdef _WIN32
    const int length = MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, nullptr, 0);
    std::wstring wide(static_cast<size_t>(length), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, path.c_str(), -1, wide.data(), length);
    void * handle = LoadLibraryExW(wide.c_str(), nullptr, LOAD_WITH_ALTERED_SEARCH_PATH);
    const std::string reason = "Windows error " + std::to_string(GetLastError());
#else
    void * handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    const char * message = handle ? nullptr : dlerror();
    const std::string reason = message ? message : "unknown reason";
#endif
    if (!handle) throw Failure("ADDON_LOAD_FAILED", "Cannot load " + path + ": " + reason);
    return handle;
}

/// Node unloads an addon when the last worker thread that required it ends, but llama.cpp keeps pointers to our
/// functions.
void stay_loaded() {
#ifdef _WIN32
    HMODULE self = nullptr;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                       reinterpret_cast<LPCWSTR>(&stay_loaded), &self);
#else
    Dl_info self;
    if (dladdr(reinterpret_cast<const void *>(&stay_loaded), &self)) dlopen(self.dli_fname, RTLD_NOW);
#endif
}

template <typename Function>
void find(void * library, const char * name, Function & function, std::vector<std::string> & missing) {
#ifdef _WIN32
    void * symbol = reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(library), name));
#else
    void * symbol = dlsym(library, name);
#endif
    if (!symbol) missing.emplace_back(name);
    function = reinterpret_cast<Function>(symbol);
}

#ifndef _WIN32
/// Throws if libllama works with the ggml of another release than its own.
void check_ggml(void * own, void * llama, const LibraryPaths & paths) {
    decltype(&::ggml_commit) own_commit = nullptr, commit = nullptr;
    std::vector<std::string> missing;
    find(own, "ggml_commit", own_commit, missing);
    find(llama, "ggml_commit", commit, missing);
    if (!missing.empty() || std::string(own_commit()) == commit()) return;
    Dl_info used;
    const bool known = dladdr(reinterpret_cast<const void *>(commit), &used) != 0;
    throw Failure("LLAMA_VERSION_MISMATCH",
                  std::string("Another release of llama.cpp is in this process already (") +
                      (known ? used.dli_fname : "of unknown origin") + "), and " + paths.llama +
                      " cannot work beside it. Let all packages of the process use one version of node-llama-cpp.");
}
#endif

/// ggml takes over what the whole process does about uncaught exceptions, and attaches a debugger to print a backtrace.
class KeepTerminateHandler {
  public:
    KeepTerminateHandler() = default;
    ~KeepTerminateHandler() { std::set_terminate(handler_); }
    KeepTerminateHandler(const KeepTerminateHandler &) = delete;
    KeepTerminateHandler & operator=(const KeepTerminateHandler &) = delete;

  private:
    std::terminate_handler handler_ = std::get_terminate();
};

LlamaApi read_table(const LibraryPaths & paths) {
    const KeepTerminateHandler handler;
    LlamaApi table;
    std::vector<std::string> missing;
    void * base = open_library(paths.base);
    void * ggml = open_library(paths.ggml);
    void * llama = open_library(paths.llama);
#ifndef _WIN32
    // Where another copy of these libraries is in the process, the loader gives libllama the ggml of that one, because
    // it has the same name. So its functions are looked up as libllama finds them.
    check_ggml(base, llama, paths);
    base = ggml = llama;
#endif
#define EFT_FIND_LLAMA(name) find(llama, #name, table.name, missing);
#define EFT_FIND_BASE(name) find(base, #name, table.name, missing);
#define EFT_FIND_GGML(name) find(ggml, #name, table.name, missing);
    EFT_LLAMA_FUNCTIONS(EFT_FIND_LLAMA)
    EFT_GGML_BASE_FUNCTIONS(EFT_FIND_BASE)
    EFT_GGML_FUNCTIONS(EFT_FIND_GGML)
#undef EFT_FIND_LLAMA
#undef EFT_FIND_BASE
#undef EFT_FIND_GGML

#ifndef _WIN32
    // Of GNU and of LLVM. What a library is linked with is searched with it.
    std::vector<std::string> none;
    find(llama, "_ZSt21__throw_runtime_errorPKc", table.throw_runtime_error, none);
    if (!table.throw_runtime_error)
        find(llama, "_ZNSt3__121__throw_runtime_errorEPKc", table.throw_runtime_error, none);
#endif

    // The version decides first: another release misses functions too, and that would be the lesser explanation.
    if (table.llama_version && std::string(table.llama_version()) != EFT_LLAMA_VERSION) {
        throw Failure("LLAMA_VERSION_MISMATCH", paths.llama + " is llama.cpp " + table.llama_version() +
                                                    ", but the addon was compiled for " + EFT_LLAMA_VERSION + ". " +
                                                    restore_libraries);
    }
    if (!missing.empty()) {
        std::string names;
        for (const auto & name : missing) names += (names.empty() ? "" : ", ") + name;
        throw Failure("ADDON_LOAD_FAILED", "The libraries beside " + paths.llama + " lack these functions: " + names +
                                               ". " + restore_libraries);
    }
    check_layout(table, paths.llama);
    return table;
}

void open_cpu_backend(LlamaApi & table, const std::string & directory) {
    if (!table.ggml_backend_reg_by_name("CPU")) table.ggml_backend_load_all_from_path(directory.c_str());
    ggml_backend_reg_t cpu = table.ggml_backend_reg_by_name("CPU");
    if (!cpu) throw Failure("ADDON_LOAD_FAILED", "No CPU backend of ggml in " + directory + " fits this processor.");
    const auto proc = [&](const char * name) { return table.ggml_backend_reg_get_proc_address(cpu, name); };
    table.ggml_threadpool_new = reinterpret_cast<decltype(&::ggml_threadpool_new)>(proc("ggml_threadpool_new"));
    table.ggml_threadpool_free = reinterpret_cast<decltype(&::ggml_threadpool_free)>(proc("ggml_threadpool_free"));
    if (!table.ggml_threadpool_new || !table.ggml_threadpool_free) {
        throw Failure("ADDON_LOAD_FAILED", "The CPU backend in " + directory + " has no thread pools.");
    }
}

}  // namespace

std::string open_libraries(const LibraryPaths & paths) {
    const std::lock_guard<std::mutex> lock(opening);
    if (!opened) {
        LlamaApi table = read_table(paths);
        stay_loaded();
        install_log(table);
        join_copies(table);
        const RegistryLock registry(RegistryLock::exclusive);
        table.llama_backend_init();
        open_cpu_backend(table, paths.backends);
        api = table;
        opened = true;
    }
    return api.llama_version();
}

const LlamaApi & llama_api() {
    if (!opened) throw Failure("ADDON_LOAD_FAILED", "llama.cpp's libraries have not been opened.");
    return api;
}

}  // namespace eft
