// llama.cpp as a table of functions that is filled at run time. Linking normally would bind us to file names that carry
// backend and version and to one node_modules layout, and on Windows there is no import library to link with.
#pragma once

#include <string>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "gguf.h"
#include "llama.h"

// Exported by ggml's base library and declared in none of its public headers.
extern "C" {
void ggml_critical_section_start(void);
void ggml_critical_section_end(void);
}

namespace eft {

// clang-format off
#define EFT_LLAMA_FUNCTIONS(X) \
    X(llama_version) X(llama_backend_init) X(llama_log_get) X(llama_log_set) X(llama_max_parallel_sequences) \
    X(llama_model_default_params) X(llama_model_load_from_file) X(llama_model_free) X(llama_model_get_vocab) \
    X(llama_model_desc) X(llama_model_ftype) X(llama_ftype_name) X(llama_model_size) X(llama_model_n_params) \
    X(llama_model_n_ctx_train) X(llama_model_n_layer) X(llama_model_n_swa) \
    X(llama_model_rope_type) X(llama_model_has_encoder) X(llama_model_has_decoder) X(llama_model_is_recurrent) \
    X(llama_model_is_hybrid) X(llama_model_is_diffusion) X(llama_model_chat_template) X(llama_model_meta_val_str) \
    X(llama_adapter_lora_init) X(llama_adapter_lora_free) X(llama_set_adapters_lora) \
    X(llama_vocab_type) X(llama_vocab_n_tokens) X(llama_vocab_get_text) X(llama_vocab_get_attr) X(llama_vocab_is_eog) \
    X(llama_vocab_bos) X(llama_vocab_eos) X(llama_vocab_eot) X(llama_vocab_nl) X(llama_vocab_sep) X(llama_vocab_pad) \
    X(llama_vocab_get_add_bos) X(llama_vocab_get_add_eos) X(llama_tokenize) X(llama_token_to_piece) \
    X(llama_context_default_params) X(llama_init_from_model) X(llama_free) X(llama_attach_threadpool) \
    X(llama_get_memory) X(llama_memory_seq_rm) X(llama_memory_seq_cp) X(llama_memory_seq_pos_max) X(llama_memory_clear) \
    X(llama_batch_get_one) X(llama_decode) X(llama_synchronize) X(llama_get_logits_ith)

#define EFT_GGML_BASE_FUNCTIONS(X) \
    X(ggml_set_abort_callback) X(ggml_critical_section_start) \
    X(ggml_critical_section_end) X(ggml_threadpool_params_default) X(ggml_backend_reg_name) \
    X(ggml_backend_reg_get_proc_address) X(ggml_backend_dev_name) X(ggml_backend_dev_description) \
    X(ggml_backend_dev_memory) X(ggml_backend_dev_type) X(ggml_backend_dev_backend_reg) \
    X(ggml_backend_dev_init) X(ggml_backend_dev_buffer_type) X(ggml_backend_dev_host_buffer_type) \
    X(ggml_backend_cpu_buffer_type) X(ggml_backend_buft_alloc_buffer) X(ggml_backend_buffer_free) \
    X(ggml_backend_buffer_get_base) X(ggml_backend_buffer_clear) X(ggml_backend_free) X(ggml_backend_synchronize) \
    X(ggml_backend_tensor_alloc) X(ggml_backend_tensor_copy) X(ggml_backend_tensor_get_async) \
    X(ggml_init) X(ggml_free) X(ggml_new_tensor_1d) X(ggml_tensor_overhead) \
    X(ggml_type_name) X(ggml_type_size) X(ggml_blck_size) X(ggml_is_quantized) X(ggml_graph_overhead_custom) X(gguf_init_from_file) X(gguf_free) X(gguf_find_key) X(gguf_get_kv_type) \
    X(gguf_get_n_kv) X(gguf_get_key) X(gguf_get_val_str) X(gguf_get_val_bool) X(gguf_get_val_u8) X(gguf_get_val_u16) X(gguf_get_val_u32) \
    X(gguf_get_val_u64) X(gguf_get_val_i8) X(gguf_get_val_i16) X(gguf_get_val_i32) X(gguf_get_val_i64) X(gguf_get_val_f32) \
    X(gguf_get_val_f64) X(gguf_get_arr_type) \
    X(gguf_get_arr_n) X(gguf_get_arr_data) X(gguf_get_arr_str) X(gguf_get_val_data) X(gguf_get_n_tensors) X(gguf_get_tensor_name) X(gguf_get_tensor_ne) X(gguf_get_tensor_type) \
    X(gguf_find_tensor) X(gguf_get_tensor_offset) X(gguf_get_tensor_size) X(gguf_get_data_offset)

#define EFT_GGML_FUNCTIONS(X) \
    X(ggml_backend_load) X(ggml_backend_load_all_from_path) X(ggml_backend_reg_by_name) X(ggml_backend_dev_count) \
    X(ggml_backend_dev_get) X(ggml_backend_dev_by_name)
// clang-format on

struct LlamaApi {
#define EFT_DECLARE(name) decltype(&::name) name = nullptr;
    EFT_LLAMA_FUNCTIONS(EFT_DECLARE)
    EFT_GGML_BASE_FUNCTIONS(EFT_DECLARE)
    EFT_GGML_FUNCTIONS(EFT_DECLARE)
#undef EFT_DECLARE
    // Live in the CPU backend's library, whose file differs from processor to processor.
    decltype(&::ggml_threadpool_new) ggml_threadpool_new = nullptr;
    decltype(&::ggml_threadpool_free) ggml_threadpool_free = nullptr;
    /// Throws a std::runtime_error of the C++ run time that llama.cpp uses; null where that has no such function.
    void (*throw_runtime_error)(const char * message) = nullptr;
};

/// What to do about libraries that are not those which the addon was compiled for.
inline constexpr const char * restore_libraries =
    "Install all packages anew (delete node_modules first), or, if llama.cpp was built from source, delete build/llama "
    "or build it again.";

struct LibraryPaths {
    std::string base, ggml, llama;
    std::string backends;  // folder with the CPU backend's variants
};

/// Opens the libraries and the CPU backend, once a process; later calls do nothing. Returns llama_version().
/// Throws Failure ADDON_LOAD_FAILED or LLAMA_VERSION_MISMATCH; a failed call leaves nothing behind and may be repeated.
std::string open_libraries(const LibraryPaths & paths);

/// The table. Throws Failure ADDON_LOAD_FAILED before open_libraries() has succeeded.
const LlamaApi & llama_api();

}  // namespace eft
