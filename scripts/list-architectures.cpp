// Writes, for every architecture that llama.cpp knows, the metadata of a small model and the tensors that it then asks for.
// The metadata are those of llama.cpp's own test of all architectures, which is compiled into this program.
#define main llama_cpp_main
#include "tests/test-llama-archs.cpp"
#undef main

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

// From src/llama-model.h, which needs most of llama.cpp to be included.
const std::vector<std::pair<std::string, ggml_tensor *>> & llama_internal_get_tensor_map(const llama_model * model);

static std::string said;

static void describe(const llm_arch arch, const bool moe, const std::string & folder) {
    const std::string file = folder + "/" + llm_arch_name(arch) + (moe ? "-moe" : "-dense");
    gguf_context_ptr gguf = get_gguf_ctx(arch, moe);
    gguf_write_to_file(gguf.get(), (file + ".gguf").c_str(), /*only_meta=*/true);
    tensor_data_params random = {1, 0.1f};
    llama_model_params parameters = llama_model_default_params();
    int64_t announced = gguf_get_n_tensors(gguf.get());
    for (int attempt = 0; attempt < 3; ++attempt) {
        said.clear();
        llama_model_ptr model(llama_model_init_from_user(gguf.get(), set_tensor_data, &random, parameters));
        if (model) {
            std::ofstream out(file + ".tensors");
            for (const auto & [name, tensor] : llama_internal_get_tensor_map(model.get())) {
                out << name << ' ' << tensor->type;
                for (int d = 0; d < ggml_n_dims(tensor); ++d) out << ' ' << tensor->ne[d];
                out << '\n';
            }
            return;
        }
        // The release announces how many tensors it wants only by refusing another number of them.
        const size_t at = said.find(", got ");
        if (at == std::string::npos) break;
        const int64_t wanted = std::stoll(said.substr(at + 6));
        for (; announced < wanted; ++announced) {
            ggml_tensor filler;
            memset(&filler, 0, sizeof(filler));
            ggml_format_name(&filler, "filler.%d", static_cast<int>(announced));
            gguf_add_tensor(gguf.get(), &filler);
        }
    }
    fprintf(stderr, "%s: %s", file.c_str(), said.c_str());
}

int main(int, char ** argv) {
    llama_log_set(
        [](ggml_log_level level, const char * text, void *) {
            if (level >= GGML_LOG_LEVEL_ERROR) said += text;
        },
        nullptr);
    ggml_backend_load_all_from_path(argv[1]);
    for (const llm_arch arch : llm_arch_all()) {
        if (arch == LLM_ARCH_UNKNOWN) continue;
        for (const bool moe : {false, true}) {
            if (moe ? !moe_implemented(arch) : moe_mandatory(arch)) continue;
            // Some fail an assertion.
            const pid_t child = fork();
            if (child == 0) {
                describe(arch, moe, argv[2]);
                _exit(0);
            }
            waitpid(child, nullptr, 0);
        }
    }
}
